"""kill -9 of an application of AG2 agents at random instants: the resumed session equals one that was not killed."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.kill_at_command import INSTANTS
from tests.support.paths import ROOT
from tests.support.peers import import_peer

pytestmark = pytest.mark.real

TURNS = 11
COMMANDS = 25
"""A new chat sends more commands than this to MongoDB."""

KILLED = -9
Run = Callable[[str, tuple[str, int, float] | None], int]


@pytest.fixture
def run(mongo_uri: str, database: Any, chatstore: Any) -> Iterator[Run]:
    """Run a chat in a process of its own, killed at an instant of one of its commands; returns the exit code."""
    import_peer("autogen")
    application = subprocess.Popen(
        [sys.executable, "-m", "tests.support.applications.agent_application", mongo_uri, database.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=chatstore.environment,
        text=True,
    )
    assert application.stdin is not None
    assert application.stdout is not None

    def ran(chat_id: str, kill_at: tuple[str, int, float] | None) -> int:
        application.stdin.write(json.dumps({"chat_id": chat_id, "kill_at": kill_at}) + "\n")  # type: ignore[union-attr]  # a pipe
        application.stdin.flush()  # type: ignore[union-attr]  # a pipe
        return int(application.stdout.readline())  # type: ignore[union-attr]  # a pipe

    try:
        yield ran
    finally:
        application.stdin.close()
        application.wait(120)
        application.stdout.close()
        assert application.stderr is not None
        output = application.stderr.read()
        application.stderr.close()
        assert "Traceback" not in output, output


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
