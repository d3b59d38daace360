"""kill -9 while messages move into segments, at every step and at random: readers see each once, all the time."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.mongo.connection import Connection, connect
from chatstore_cli.mongo.workflow.layout import WorkflowLayout
from chatstore_cli.mongo.workflow.segment_mover import MongoSegmentStore
from tests.support.mongod import Mongod
from tests.support.segment_movers import Movers, movers

pytestmark = pytest.mark.real
SEED = int(os.environ.get("CHATSTORE_TEST_SEED", "20260302"))
ROUNDS = [
    pytest.param(20, id="20"),
    pytest.param(200, id="200", marks=[pytest.mark.soak, pytest.mark.timeout(7200)]),
]
EVERYTHING = MessageSelection()
_MOST_STEPS = 30


@pytest.fixture(params=["replica set", "standalone"])
def server(request: pytest.FixtureRequest) -> Mongod:
    """A server with transactions, and one without."""
    if request.param == "replica set":
        shared: Mongod = request.getfixturevalue("mongod")
        return shared
    standalone: Mongod = request.getfixturevalue("start_mongod")(replica_set=False)
    return standalone


@pytest.fixture
def chats(server: Mongod) -> Iterator[Connection]:
    """An empty database there."""
    connection = connect(server.uri, f"test_segments_{os.getpid()}", timeout_seconds=10)
    connection.client.drop_database(connection.database.name)
    yield connection
    connection.client.drop_database(connection.database.name)


@pytest.fixture
def two_movers() -> Iterator[list[Movers]]:
    """Two that move at once."""
    with movers() as one, movers() as other:
        yield [one, other]


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
    MongoSegmentStore(chats, Settings()).move_oldest("chat", at_most_bytes=1_000)
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
def test_killed_at_any_step_of_a_move(chats: Connection, server: Mongod, two_movers: list[Movers], left_behind: str):
    killed = 0
    for step in range(1, _MOST_STEPS):  # after each command: before the next one, nothing else has happened
        store_chat(chats)
        MongoSegmentStore(chats, Settings()).move_oldest("chat", at_most_bytes=500)
        if left_behind != "nothing":
            leave_an_orphan(chats, edited=left_behind == "an old copy")
        two_movers[0].start(server.uri, chats.database.name, kill_at=["after", step])
        ended = two_movers[0].wait()
        assert ended in (0, -9)
        assert numbers(chats) == list(range(40)), f"killed after step {step}"
        assert numbers(chats, MessageSelection(last=37)) == list(range(3, 40))
        if ended == 0:
            break
        killed += 1
        assert MongoSegmentStore(chats, Settings()).move_oldest("chat", at_most_bytes=800) is not None
        assert numbers(chats) == list(range(40)), f"killed after step {step}, and moved again"
        assert_segments_are_whole(chats, 40)
    assert killed >= {"nothing": 5, "a copy": 6, "an old copy": 8}[left_behind]


@pytest.mark.parametrize("rounds", ROUNDS)
def test_two_that_move_and_are_killed_at_random_while_others_read_and_append(
    chats: Connection, server: Mongod, two_movers: list[Movers], rounds: int
):
    chance = random.Random(SEED)
    numbered = server.replica_set  # what another make appends has a sequence, or has none
    store_chat(chats)
    appended, stop, wrong, readings = [40], threading.Event(), [], [0]

    def append() -> None:
        sessions = chats.collection("chat_sessions")
        while not stop.is_set():
            sessions.update_one({"_id": "chat"}, {"$push": {"messages": message(appended[0], numbered)}})
            appended[0] += 1
            stop.wait(0.004)

    def read(selection: MessageSelection) -> None:
        while not stop.is_set():
            least = appended[0]
            seen = numbers(chats, selection)
            first = seen[0] if selection.last else 0
            readings[0] += 1
            if seen != list(range(first, first + len(seen))) or first + len(seen) < least:
                wrong.append(seen)
                return

    threads = [
        threading.Thread(target=append),
        threading.Thread(target=read, args=(EVERYTHING,)),
        threading.Thread(target=read, args=(MessageSelection(last=30),)),
    ]
    for thread in threads:
        thread.start()
    killed = 0
    try:
        for _ in range(rounds):
            pids = [each.start(server.uri, chats.database.name, forever=True, at_most=700) for each in two_movers]
            time.sleep(chance.uniform(0.02, 0.2))  # the instant is what is tried here: nothing is waited for
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            killed += sum(each.wait() == -9 for each in two_movers)
            if not numbered and appended[0] > 2_000:
                break
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == [], f"seed {SEED}"
    assert killed >= rounds, "most ended before they were killed: nothing was proven"
    assert readings[0] > rounds
    assert numbers(chats) == list(range(appended[0]))
    moves = (chats.collection("chat_sessions").find_one({"_id": "chat"}) or {}).get("last_segment", 0)
    assert moves >= rounds // 20, "hardly any move took place: nothing was proven"
    while MongoSegmentStore(chats, Settings()).move_oldest("chat", keep_messages=1) is not None:
        pass
    assert numbers(chats) == list(range(appended[0]))
    assert_segments_are_whole(chats, appended[0])
