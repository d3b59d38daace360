"""kill -9 of an application at each command of save_usage: what was acknowledged is stored, and nothing counts twice."""

from __future__ import annotations

import json
import subprocess
import sys
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
from tests.support.paths import ROOT

pytestmark = pytest.mark.real

KILLED = -9
Run = Callable[[str, tuple[str, int, float] | None], tuple[int, list[int]]]


@pytest.fixture
def run(mongo_uri: str, database: Any, chatstore: Any) -> Iterator[Run]:
    """Run an agent in a process of its own, killed at a command; returns the exit code and the acknowledged tokens."""
    application = subprocess.Popen(
        [sys.executable, "-m", "tests.support.applications.usage_application", mongo_uri, database.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=chatstore.environment,
        text=True,
    )
    assert application.stdin is not None
    assert application.stdout is not None

    def ran(chat_id: str, kill_at: tuple[str, int, float] | None) -> tuple[int, list[int]]:
        application.stdin.write(json.dumps({"chat_id": chat_id, "kill_at": kill_at}) + "\n")  # type: ignore[union-attr]  # a pipe
        application.stdin.flush()  # type: ignore[union-attr]  # a pipe
        code, saved = json.loads(application.stdout.readline())  # type: ignore[union-attr]  # a pipe
        return code, saved

    try:
        yield ran
    finally:
        application.stdin.close()
        application.wait(120)
        application.stdout.close()


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
