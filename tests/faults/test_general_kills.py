"""Many writers of general chats at once, and kill -9 at every command of theirs: nothing is lost, doubled or numbered twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chatstore_cli.core.general.chats import GeneralChats
from tests.support.forked_jobs import ForkedJobs
from tests.support.general_writers import OWNER, append, general_writers, open_chats

pytestmark = pytest.mark.real

KILLED = -9
MOST_COMMANDS = 40
CHAT = "generalchat-acme-ann-0001"


@pytest.fixture(scope="module")
def all_writers() -> Iterator[ForkedJobs]:
    """The processes of all tests."""
    with general_writers() as processes:
        yield processes


@pytest.fixture
def writers(all_writers: ForkedJobs, mongo_uri: str, database: Any) -> ForkedJobs:
    """Processes that write to the test's database."""
    all_writers.write_to(mongo_uri, database.name)
    return all_writers


@pytest.fixture
def chats(mongo_uri: str, database: Any) -> Iterator[GeneralChats]:
    """The general chats of the test's database."""
    with open_chats(mongo_uri, database.name) as chats:
        yield chats


def transcript(chats: GeneralChats, **more: Any) -> list[dict[str, Any]]:
    found = chats.fetch_general_chat_transcript(general_chat_id=CHAT, app_id="acme", limit=0, **more)
    assert found is not None
    assert found["last_sequence"] == len(found["messages"])
    messages: list[dict[str, Any]] = found["messages"]
    assert [each["sequence"] for each in messages] == list(range(1, len(messages) + 1))
    return messages


def check_many_writers(writers: ForkedJobs, chats: GeneralChats, processes: int, threads: int, messages: int) -> None:
    chats.create_general_chat_session(**OWNER)
    job = {"work": "append_from_threads", "chat_id": CHAT, "threads": threads, "messages": messages}
    jobs = [{**job, "prefix": f"{number}-"} for number in range(processes)]
    assert writers.run(*jobs) == [0] * processes  # none was refused
    expected = [
        f"{process}-{thread}-{number}"
        for process in range(processes)
        for thread in range(threads)
        for number in range(messages)
    ]
    stored = transcript(chats)
    assert sorted(each["content"] for each in stored) == sorted(expected)
    assert len({each["event_id"] for each in stored}) == len(stored)
    for process in range(processes):
        for thread in range(threads):  # the messages of one writer are in its order
            prefix = f"{process}-{thread}-"
            own = [each["content"] for each in stored if each["content"].startswith(prefix)]
            assert own == [f"{prefix}{number}" for number in range(messages)]


def test_fifty_writers_append_to_one_chat(writers: ForkedJobs, chats: GeneralChats) -> None:
    check_many_writers(writers, chats, processes=5, threads=10, messages=3)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_fifty_processes_append_to_one_chat(writers: ForkedJobs, chats: GeneralChats) -> None:
    check_many_writers(writers, chats, processes=50, threads=1, messages=20)


def test_killed_at_every_command_of_a_creation(writers: ForkedJobs, chats: GeneralChats, database: Any) -> None:
    killed = 0
    for number in range(1, MOST_COMMANDS):
        [code] = writers.run({"work": "create", "chats": 1, "kill_at": ["after", number]})
        killed += code == KILLED
        if code == 0:
            break
    assert killed >= 5
    rows = chats.list_general_chats(**OWNER, limit=200)
    numbers = [row["sequence"] for row in rows]
    assert len(set(numbers)) == len(numbers)
    created = chats.create_general_chat_session(**OWNER)
    assert created["sequence"] > max(numbers)
    for document in database.GeneralChatSessions.find():  # each is whole and can be continued
        message = chats.append_general_message(
            general_chat_id=document["_id"], app_id="acme", role="user", content="hello"
        )
        assert message["sequence"] == 1


@pytest.mark.parametrize("moves", [False, True])
def test_killed_at_every_command_of_an_append(
    writers: ForkedJobs, chats: GeneralChats, database: Any, moves: bool
) -> None:
    """Repeating what was killed completes it. With `moves` each message moves into a segment at once."""
    chats.create_general_chat_session(**OWNER)
    job: dict[str, Any] = {"work": "append", "chat_id": CHAT, "messages": 1 if moves else 2}
    if moves:
        job["keeper"] = {"GUARD_BYTES": 1, "_KEPT_BYTES": 0, "_CHECK_AGAIN_BYTES": 0}
    killed = 0
    expected: list[str] = []
    for number in range(1, MOST_COMMANDS):
        prefix = f"{number}-"
        [code] = writers.run({**job, "prefix": prefix, "kill_at": ["after", number]})
        killed += code == KILLED
        append(chats, {**job, "prefix": prefix})
        expected += [f"{prefix}{place}" for place in range(job["messages"])]
        assert [each["content"] for each in transcript(chats)] == expected
        if code == 0:
            break
    assert killed >= (15 if moves else 5)
    assert (database.general_chat_segments.count_documents({}) > 0) == moves
