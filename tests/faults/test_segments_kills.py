"""kill -9 while messages move into segments, at every command and at random: readers see each message once, always."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.mongo.connection import Connection, connect
from chatstore_cli.mongo.session_documents.segment_mover import MongoSegmentStore
from chatstore_cli.mongo.workflow.layout import WorkflowLayout
from chatstore_cli.mongo.workflow.shape import WORKFLOW
from tests.support.forked_jobs import ForkedJobs
from tests.support.kill_at_command import INSTANTS
from tests.support.mongod import Mongod, poll
from tests.support.segment_movers import segment_movers

pytestmark = pytest.mark.real
SEED = int(os.environ.get("CHATSTORE_TEST_SEED", "20260302"))
ROUNDS = [
    pytest.param(6, id="6"),
    pytest.param(200, id="200", marks=[pytest.mark.soak, pytest.mark.timeout(7200)]),
]
EVERYTHING = MessageSelection()
_MOST_STEPS = 30


@pytest.fixture(scope="module", params=["mongod", "standalone"])
def server(request: pytest.FixtureRequest) -> Mongod:
    """A server with transactions, and one without."""
    server: Mongod = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def chats(server: Mongod) -> Iterator[Connection]:
    """An empty database on that server."""
    connection = connect(server.uri, f"test_segments_{os.getpid()}", timeout_seconds=10)
    connection.client.drop_database(connection.database.name)
    yield connection
    connection.client.drop_database(connection.database.name)


@pytest.fixture(scope="module")
def all_movers() -> Iterator[ForkedJobs]:
    """The processes of all tests."""
    with segment_movers() as processes:
        yield processes


@pytest.fixture
def movers(all_movers: ForkedJobs, server: Mongod, chats: Connection) -> ForkedJobs:
    """Processes that move messages in that database."""
    all_movers.write_to(server.uri, chats.database.name)
    return all_movers


def numbers(chats: Connection, selection: MessageSelection = EVERYTHING) -> list[Any]:
    """The numbers of the messages that a reader sees."""
    return [message.content for message in WorkflowLayout(chats, Settings()).messages("chat", selection)]


def message(number: int, numbered: bool = True) -> dict[str, Any]:
    """A message with its number as content."""
    return {"role": "user", "content": number, "event_id": f"e{number}", **({"sequence": number} if numbered else {})}


def store_chat(chats: Connection, **more: Any) -> None:
    """Forty messages in one document."""
    for name in ("chat_sessions", "chat_session_segments"):
        chats.collection(name).delete_many({})
    stored = {"_id": "chat", "chat_id": "chat", "messages": [message(number) for number in range(40)], **more}
    chats.collection("chat_sessions").insert_one(stored)


def leave_an_orphan(chats: Connection, *, edited: bool) -> None:
    """What a move leaves that ends between its two steps; of messages that are still those, or not."""
    sessions = chats.collection("chat_sessions")
    before = sessions.find_one({"_id": "chat"}) or {}
    MongoSegmentStore(WORKFLOW, chats, Settings()).move_oldest("chat", at_most_bytes=1_000)
    if edited:
        before["messages"][2]["metadata"] = {"edited": True}
    long_ago = {"$set": {"lease.until": datetime(2026, 3, 2, tzinfo=UTC)}}  # it was killed then, and is not waited for
    chats.collection("chat_session_segments").update_many({}, long_ago)
    sessions.replace_one({"_id": "chat"}, before)


def assert_segments_are_whole(chats: Connection, total: int) -> None:
    """Segments are numbered without a gap, and with the head have every message once, also as they are stored."""
    head = chats.collection("chat_sessions").find_one({"_id": "chat"}) or {}
    segments = list(chats.collection("chat_session_segments").find().sort("segment"))
    counting = [segment for segment in segments if segment["segment"] <= head.get("last_segment", 0)]
    assert [segment["segment"] for segment in counting] == list(range(1, head.get("last_segment", 0) + 1))
    stored = [each["content"] for segment in counting for each in segment["messages"]]
    assert head.get("moved_messages", 0) == len(stored)
    assert [*stored, *(each["content"] for each in head["messages"])] == list(range(total))


@pytest.mark.parametrize("left_behind", ["nothing", "a copy", "an old copy"])
def test_killed_at_any_step_of_a_move(chats: Connection, movers: ForkedJobs, left_behind: str):
    killed = 0
    for step in range(1, _MOST_STEPS):  # after each command: before the next one, nothing else has happened
        store_chat(chats)
        MongoSegmentStore(WORKFLOW, chats, Settings()).move_oldest("chat", at_most_bytes=500)
        if left_behind != "nothing":
            leave_an_orphan(chats, edited=left_behind == "an old copy")
        [ended] = movers.run({"kill_at": ["after", step]})
        assert ended in (0, -9)
        assert numbers(chats) == list(range(40)), f"killed after step {step}"
        assert numbers(chats, MessageSelection(last=37)) == list(range(3, 40))
        if ended == 0:
            break
        killed += 1
        assert MongoSegmentStore(WORKFLOW, chats, Settings()).move_oldest("chat", at_most_bytes=800) is not None
        assert numbers(chats) == list(range(40)), f"killed after step {step}, and moved again"
        assert_segments_are_whole(chats, 40)
    assert killed >= {"nothing": 5, "a copy": 6, "an old copy": 8}[left_behind]


class Readers:
    """Threads that read the session over and over, and note what was wrong."""

    def __init__(self, chats: Connection, appended: list[int]) -> None:
        self.wrong: list[Any] = []
        self._appended = appended
        self._readings = [0, 0]
        self._chats = chats
        self._stop = threading.Event()
        selections = (EVERYTHING, MessageSelection(last=30))
        self._threads = [threading.Thread(target=self._read, args=pair) for pair in enumerate(selections)]

    def __enter__(self) -> Readers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _read(self, index: int, selection: MessageSelection) -> None:
        while not self._stop.is_set() and not self.wrong:
            least = self._appended[0]
            try:
                seen = numbers(self._chats, selection)
            except Exception as error:  # noqa: BLE001 - reported to the test
                self.wrong.append(error)
                return
            first = seen[0] if selection.last else 0
            if seen != list(range(first, first + len(seen))) or first + len(seen) < least:
                self.wrong.append(seen)
            self._readings[index] += 1

    def wait_for_a_reading(self) -> None:
        """Wait until each thread has read once more, whatever that takes."""
        before = list(self._readings)
        poll(
            lambda: self.wrong or all(now > then for now, then in zip(self._readings, before, strict=True)),
            within=300,
            what="a reading",
        )


@pytest.mark.parametrize("rounds", ROUNDS)
def test_two_that_move_and_are_killed_at_random_while_others_read_and_append(
    chats: Connection, server: Mongod, movers: ForkedJobs, rounds: int
):
    """The instants are counted in commands, so that as much happens before a kill on a slow machine as on a fast one."""
    chance = random.Random(SEED)
    numbered = server.replica_set  # what another make appends has a sequence, or has none
    store_chat(chats)
    appended, completed, stop = [40], [0], threading.Event()

    def append() -> None:
        sessions = chats.collection("chat_sessions")
        while not stop.is_set():
            sessions.update_one({"_id": "chat"}, {"$push": {"messages": message(appended[0], numbered)}})
            appended[0] += 1
            # Slow rounds must not make the document large, which would make the next rounds slower still.
            stop.wait(0.004 if appended[0] < 40 + 25 * (completed[0] + 1) else 0.25)

    appender = threading.Thread(target=append)
    appender.start()
    try:
        with Readers(chats, appended) as readers:
            while completed[0] < rounds and not readers.wrong and (numbered or appended[0] <= 2_000):
                jobs = []
                for number in range(2):
                    kill_at = [chance.choice(INSTANTS), chance.randint(1, 40), chance.uniform(0, 3)]
                    # In each third round the first mover moves messages before its commands are counted.
                    moves = 1 if number == 0 and completed[0] % 3 == 0 else 0
                    jobs.append({"forever": True, "at_most": 700, "kill_at": kill_at, "after_moves": moves})
                assert movers.run(*jobs) == [-9, -9]
                readers.wait_for_a_reading()
                completed[0] += 1
    finally:
        stop.set()
        appender.join()
    assert readers.wrong == [], f"seed {SEED}"
    assert completed[0] >= min(rounds, 6)
    assert numbers(chats) == list(range(appended[0]))
    head = chats.collection("chat_sessions").find_one({"_id": "chat"}) or {}
    assert head["last_segment"] >= (completed[0] + 2) // 3
    while MongoSegmentStore(WORKFLOW, chats, Settings()).move_oldest("chat", keep_messages=1) is not None:
        pass
    assert numbers(chats) == list(range(appended[0]))
    assert_segments_are_whole(chats, appended[0])
