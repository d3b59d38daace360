"""kill -9 of an application of AG2 agents at random instants: the resumed session equals one that was not killed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.kill_at_command import INSTANTS
from tests.support.killed_application import KILLED, Instant, running_application
from tests.support.peers import import_peer

pytestmark = pytest.mark.real

TURNS = 11
COMMANDS = 25
"""A new chat sends more commands than this to MongoDB."""

Run = Callable[[str, Instant | None], int]


@pytest.fixture
def run(mongo_uri: str, database: Any, chatstore: Any) -> Iterator[Run]:
    """Run a chat in a process of its own, killed at an instant of one of its commands; returns the exit code."""
    import_peer("autogen")
    with running_application("agent_application", mongo_uri, database, chatstore) as run:
        yield run


def story(document: dict[str, Any]) -> list[Any]:
    """The stored messages without the fields that differ between runs."""
    assert document["last_sequence"] == len(document["messages"])
    assert len({each["event_id"] for each in document["messages"]}) == len(document["messages"])
    different = {"event_id", "timestamp"}
    return [{key: value for key, value in each.items() if key not in different} for each in document["messages"]]


def check_rounds(run: Run, database: Any, rounds: int, seed: int) -> None:
    assert run("whole", None) == 0
    whole = story(database.chat_sessions.find_one({"chat_id": "whole"}))
    assert len(whole) == TURNS
    chance = random.Random(seed)
    lengths = set()
    for number in range(rounds):
        chat_id = f"killed-{number}"
        for repetition in range(chance.randint(1, 3)):
            code = run(chat_id, (chance.choice(INSTANTS), chance.randint(1, COMMANDS), chance.uniform(0, 5)))
            assert code == KILLED or (code == 0 and repetition > 0)  # a chat that is resumed may have ended before
            document = database.chat_sessions.find_one({"chat_id": chat_id})
            lengths.add(len(document["messages"]) if document else None)
        assert run(chat_id, None) == 0
        document = database.chat_sessions.find_one({"chat_id": chat_id})
        assert story(document) == whole
        assert (document["status"], "expected_echo" in document) == (1, False)
    assert len(lengths) > 4, f"the chats were all killed at the same places: {lengths}"


def test_a_chat_killed_at_random_instants_and_resumed_equals_one_that_was_not_killed(run: Run, database: Any) -> None:
    check_rounds(run, database, rounds=8, seed=7)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_the_same_two_hundred_times(run: Run, database: Any) -> None:
    check_rounds(run, database, rounds=200, seed=random.randrange(2**32))
