"""Chats of agents with small segments: each event once, whoever delivers it how often, and all of them resumed."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.workflow.ag2_manager import AG2PersistenceManager
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.workflow.chats import SavedAs
from chatstore_cli.mongo.connection import Connection, connect
from chatstore_cli.mongo.workflow.event_filter import EventFilter
from chatstore_cli.mongo.workflow.event_filter_cache import MovedEvents
from chatstore_cli.mongo.workflow.layout import WorkflowLayout
from chatstore_cli.mongo.workflow.segment_mover import MongoSegmentStore
from tests.support.ag2_events import new_manager, text

pytestmark = pytest.mark.real

SMALL = 10


def with_small_segments(connection: Connection) -> AG2PersistenceManager:
    """A manager as `layouts.workflow.segment_messages: 10` makes it."""
    return new_manager(connection, segment_messages=SMALL)


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


# --- which events are in segments, without asking --------------------------------------------------------------------


class Lookups(CommandListener):
    """Counts what is asked of segments by an event's id."""

    def __init__(self) -> None:
        self.count = 0

    def started(self, event: CommandStartedEvent) -> None:
        self.count += "messages.event_id" in event.command.get("filter", {})

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Nothing to count."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing to count."""


@pytest.fixture
def lookups() -> Lookups:
    return Lookups()


@pytest.fixture
def watched(mongod: Any, database: Any, lookups: Lookups) -> Connection:
    """A connection whose look-ups are counted."""
    client: Any = MongoClient(mongod.uri, event_listeners=[lookups], tz_aware=True, uuidRepresentation="standard")
    return Connection(client, client[database.name], "watched")


def grown(connection: Connection, count: int = 35) -> tuple[AG2PersistenceManager, list[Any]]:
    """A chat with segments, and the events that it is of."""
    manager = with_small_segments(connection)
    events = [text(f"message {number}") for number in range(count)]
    for given in events:
        manager.save_event(given, chat_id="c", enterprise_id="acme")
    return manager, events


def test_new_events_are_appended_without_a_look_into_segments(watched: Connection, lookups: Lookups) -> None:
    manager, events = grown(watched)
    assert lookups.count <= 2  # the filter seems to know one of fifty
    again = with_small_segments(watched)
    for one in (manager, again):
        assert one.save_event(text("more"), chat_id="c", enterprise_id="acme").saved_as is SavedAs.MESSAGE
        assert one.save_event(events[0], chat_id="c", enterprise_id="acme").saved_as is SavedAs.DUPLICATE
    assert lookups.count >= 2


def test_the_newest_segment_alone_carries_the_filter(connection: Connection, database: Any) -> None:
    grown(connection)
    carrying = [segment["_id"] for segment in database.chat_session_segments.find({"event_filter": {"$exists": True}})]
    head = database.chat_sessions.find_one({})
    assert carrying == [f"c:{head['last_segment']}"]
    assert (
        database.chat_session_segments.find_one({"_id": carrying[0]})["event_filter"]["messages"]
        == head["moved_messages"]
    )


@pytest.mark.parametrize(
    "change",
    [
        {"$unset": {"event_filter": 1}},
        {"$set": {"event_filter": {"messages": "many"}}},
        {"$set": {"event_filter.filters": [b"\0"]}},
        {"$inc": {"event_filter.messages": 1}},
    ],
    ids=["none", "none that is one", "too short", "of another state"],
)
def test_without_a_filter_that_holds_it_is_looked_up_and_the_next_move_makes_one(
    connection: Connection, database: Any, change: dict[str, Any]
) -> None:
    _, events = grown(connection)
    database.chat_session_segments.update_many({}, change)
    manager = with_small_segments(connection)
    for given in events:
        assert manager.save_event(given, chat_id="c", enterprise_id="acme").saved_as is SavedAs.DUPLICATE
    moved = [text(f"more {number}") for number in range(2 * SMALL)]
    for given in moved:
        assert manager.save_event(given, chat_id="c", enterprise_id="acme").saved_as is SavedAs.MESSAGE
    head = database.chat_sessions.find_one({})
    newest = database.chat_session_segments.find_one({"_id": f"c:{head['last_segment']}"})
    known = EventFilter.from_document(newest)
    assert known is not None and known.messages == head["moved_messages"]
    assert all(known.may_hold(given["content"]["uuid"]) for given in events)


def test_a_document_that_is_put_back_as_it_was_costs_no_refusal(connection: Connection, database: Any) -> None:
    """An application writes an older copy back: the newest segment does not count any more, and messages move anew."""
    manager = with_small_segments(connection)
    events = [text(f"message {number}") for number in range(60)]
    for given in events[:40]:
        manager.save_event(given, chat_id="c", enterprise_id="acme")
    copy = database.chat_sessions.find_one({})
    for given in events[40:]:
        manager.save_event(given, chat_id="c", enterprise_id="acme")
    database.chat_sessions.replace_one({"_id": copy["_id"]}, copy)
    MongoSegmentStore(connection, Settings()).move_oldest("c", keep_messages=1)
    for given in events[:40]:
        assert manager.save_event(given, chat_id="c", enterprise_id="acme").saved_as is SavedAs.DUPLICATE
    for given in events[40:]:
        assert manager.save_event(given, chat_id="c", enterprise_id="acme").saved_as is SavedAs.MESSAGE
    layout = WorkflowLayout(connection, Settings())
    stored = [message.content for message in layout.messages("c", MessageSelection())]
    assert stored == [given["content"]["content"] for given in events]


def test_a_segment_that_a_message_fills_carries_none(connection: Connection, database: Any) -> None:
    manager = with_small_segments(connection)
    events = [text("x"), text("y" * (16 * 1024 * 1024 - 80_000)), text("z")]
    for given in events[:2]:
        manager.save_event(given, chat_id="c", enterprise_id="acme")
    while MongoSegmentStore(connection, Settings()).move_oldest("c") is not None:
        pass
    for given in events[:2]:
        assert manager.save_event(given, chat_id="c", enterprise_id="acme").saved_as is SavedAs.DUPLICATE
    assert manager.save_event(events[2], chat_id="c", enterprise_id="acme").saved_as is SavedAs.MESSAGE


def test_a_filter_is_that_of_one_move(connection: Connection, database: Any) -> None:
    """After a document was put back, as many messages in as many segments may be others."""
    _, events = grown(connection)
    head = database.chat_sessions.find_one({})
    known = MovedEvents(database.chat_session_segments)
    state = ("c", head["last_segment"], head["moved_messages"])
    carried = known.of(*state, head["last_move"])
    assert carried is not None and carried.may_hold(events[0]["content"]["uuid"])
    assert known.of(*state, ObjectId()) is None
    assert known.of(*state, None) is None
