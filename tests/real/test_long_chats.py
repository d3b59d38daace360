"""Chats of agents with small segments: each event once, whoever delivers it how often, and all of them resumed."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest

from chatstore_cli.config import Settings
from chatstore_cli.core.ag2_persistence import AG2PersistenceManager
from chatstore_cli.core.segments import SegmentKeeper
from chatstore_cli.domain.chat_writing import SavedAs
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.mongo.connection import Connection, connect
from chatstore_cli.mongo.layouts.workflow import WorkflowLayout
from chatstore_cli.mongo.workflow_segments import MongoSegmentStore
from tests.events import new_manager, text

pytestmark = pytest.mark.real

SMALL = 10


def with_small_segments(connection: Connection) -> AG2PersistenceManager:
    """A manager as `layouts.workflow.segment_messages: 10` makes it."""
    manager = new_manager(connection)
    manager._keeper = SegmentKeeper(MongoSegmentStore(connection, Settings()), segment_messages=SMALL)
    return manager


def test_events_from_many_threads_are_each_stored_once_while_messages_move(
    connection: Connection, database: Any
) -> None:
    events = [text(f"message {number}") for number in range(120)]
    managers = [with_small_segments(connection) for _ in range(3)]
    outcomes: Counter[SavedAs] = Counter()
    failures: list[BaseException] = []
    layout = WorkflowLayout(connection, Settings())
    stop = threading.Event()

    def deliver(thread: int) -> None:
        try:
            for given in (*events[: 60 + thread], *events):
                saved = managers[thread % 3].save_event(given, chat_id="c", enterprise_id="acme")
                outcomes[saved.saved_as] += 1
        except ChatstoreError as error:
            failures.append(error)

    def read() -> None:
        try:
            while not stop.is_set():
                if layout.find("c") is None:
                    continue
                seen = [message.sequence for message in layout.messages("c", MessageSelection())]
                assert seen == list(range(1, len(seen) + 1))
        except BaseException as error:  # noqa: BLE001 - told to the test
            failures.append(error)

    threads = [threading.Thread(target=deliver, args=(number,)) for number in range(4)]
    reader = threading.Thread(target=read)
    for thread in (reader, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    reader.join()
    assert failures == []
    assert outcomes[SavedAs.MESSAGE] == len(events)
    stored = list(layout.messages("c", MessageSelection()))
    assert [message.sequence for message in stored] == list(range(1, 121))
    assert Counter(message.content for message in stored) == Counter(given["content"]["content"] for given in events)
    head = database.chat_sessions.find_one({})
    assert len(head["messages"]) < 3 * SMALL and head["moved_messages"] + len(head["messages"]) == 120
    resumed = with_small_segments(connection).resume_chat("c")
    assert [message["content"] for message in resumed.messages] == [message.content for message in stored]


def test_a_chat_that_another_make_has_filled_is_split_and_gone_on_with(start_mongod: Any) -> None:
    """15.9 MiB in one document of another variant, which the server refuses to let grow."""
    connection = connect(start_mongod(replica_set=False).uri, "test_full", timeout_seconds=10)
    stored = [{"role": "user", "content": f"{number} " + "x" * 16_500} for number in range(1_005)]
    connection.collection("chat_sessions").insert_one({"_id": "c", "app_id": "acme", "status": 1, "messages": stored})
    saved = new_manager(connection).save_event(text("y" * 300_000), chat_id="c", enterprise_id="acme")
    assert saved.saved_as is SavedAs.MESSAGE
    messages = list(WorkflowLayout(connection, Settings()).messages("c", MessageSelection()))
    assert [message.content.split()[0] for message in messages[:-1]] == [str(number) for number in range(1_005)]
    assert messages[-1].content == "y" * 300_000
    assert connection.collection("chat_session_segments").count_documents({}) >= 2


def test_an_event_of_long_ago_is_known_after_everything_has_moved(connection: Connection) -> None:
    manager = with_small_segments(connection)
    events = [text(f"message {number}") for number in range(45)]
    for given in events:
        manager.save_event(given, chat_id="c", enterprise_id="acme")
    while MongoSegmentStore(connection, Settings()).move_oldest("c") is not None:
        pass
    again = {manager.save_event(given, chat_id="c", enterprise_id="acme").saved_as for given in events}
    assert again == {SavedAs.DUPLICATE}
    assert manager.save_event(text("next"), chat_id="c", enterprise_id="acme").sequence == 46
