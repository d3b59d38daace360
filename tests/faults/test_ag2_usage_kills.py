"""kill -9 of an application at each command of save_usage: what was acknowledged is stored, and nothing counts twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.usage.explain import differing_counters
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.usage.ledger import MongoUsageLedger
from tests.support.ag2_events import new_manager
from tests.support.applications.usage_application import TURNS
from tests.support.killed_application import KILLED, Instant, running_application

pytestmark = pytest.mark.real

Run = Callable[[str, Instant | None], tuple[int, list[int]]]


@pytest.fixture
def run(mongo_uri: str, database: Any, chatstore: Any) -> Iterator[Run]:
    """Run an agent in a process of its own, killed at a command; returns the exit code and the acknowledged tokens."""
    with running_application("usage_application", mongo_uri, database, chatstore) as run:
        yield run


@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.soak)])
def test_usage_is_counted_once_at_whatever_command_the_application_is_killed(
    run: Run, connection: Connection, step: int
) -> None:
    ledger = MongoUsageLedger(connection, Settings())
    stored = set()
    for number in count(1, step):
        chat_id = f"killed-{number}"
        code, saved = run(chat_id, ("after", number, 0.0))
        if code == 0:  # it has sent fewer commands
            break
        assert code == KILLED
        before = ledger.sums(chat_id).total_tokens
        stored.add(before)
        assert before in (sum(saved), sum(TURNS[: len(saved) + 1]))
        # The agents are created again: they count from zero, on top of what is there.
        agent = SimpleNamespace(
            name="Writer", client=SimpleNamespace(actual_usage_summary={"m": {"total_tokens": 5_000}})
        )
        new_manager(connection).save_usage(agent, chat_id=chat_id, enterprise_id="acme")
        assert ledger.sums(chat_id).total_tokens == before + 5_000
    assert stored == {0, *(sum(TURNS[:turns]) for turns in (1, 2))}
    assert list(differing_counters(ledger)) == []
