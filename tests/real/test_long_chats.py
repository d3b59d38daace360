"""Sessions of agents in small segments: each event is stored once however often it is delivered, and all are resumed."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.workflow.ag2_manager import AG2Manager
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.workflow.chats import SavedAs
from chatstore_cli.mongo.connection import Connection, connect
from chatstore_cli.mongo.session_documents.segment_mover import MongoSegmentStore
from chatstore_cli.mongo.workflow.layout import WorkflowLayout
from chatstore_cli.mongo.workflow.shape import WORKFLOW
from tests.support.ag2_events import new_manager, text

pytestmark = pytest.mark.real

SMALL = 10


def with_small_segments(connection: Connection) -> AG2Manager:
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
    resumed = with_small_segments(connection).resume_chat("c", enterprise_id="acme")
    assert [message["content"] for message in resumed.messages] == [message.content for message in stored]


def test_a_full_session_of_another_application_is_split_and_continued(start_mongod: Any) -> None:
    """15.9 MiB in one document of another variant, which the server does not allow to grow."""
    connection = connect(start_mongod(replica_set=False).uri, "test_full", timeout_seconds=10)
    stored = [{"role": "user", "content": f"{number} " + "x" * 16_500} for number in range(1_005)]
    connection.collection("chat_sessions").insert_one({"_id": "c", "app_id": "acme", "status": 1, "messages": stored})
    saved = new_manager(connection).save_event(text("y" * 300_000), chat_id="c", enterprise_id="acme")
    assert saved.saved_as is SavedAs.MESSAGE
    messages = list(WorkflowLayout(connection, Settings()).messages("c", MessageSelection()))
    assert [message.content.split()[0] for message in messages[:-1]] == [str(number) for number in range(1_005)]
    assert messages[-1].content == "y" * 300_000
    assert connection.collection("chat_session_segments").count_documents({}) >= 2


def test_an_old_event_is_recognised_after_everything_has_moved(connection: Connection) -> None:
    manager = with_small_segments(connection)
    events = [text(f"message {number}") for number in range(45)]
    for given in events:
        manager.save_event(given, chat_id="c", enterprise_id="acme")
    while MongoSegmentStore(WORKFLOW, connection, Settings()).move_oldest("c") is not None:
        pass
    again = {manager.save_event(given, chat_id="c", enterprise_id="acme").saved_as for given in events}
    assert again == {SavedAs.DUPLICATE}
    assert manager.save_event(text("next"), chat_id="c", enterprise_id="acme").sequence == 46


# --- which events are in segments ------------------------------------------------------------------------------------

INDEX = "chat_event_idx"


class Lookups(CommandListener):
    """The queries that look for an event in segments."""

    def __init__(self) -> None:
        self.queries: list[Any] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command.get("count") == "chat_session_segments":
            self.queries.append(event.command["query"])

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Nothing to note."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing to note."""


def grown(connection: Connection, warn: Callable[[str], None] = lambda _: None, count: int = 35) -> list[Any]:
    """A session with segments; returns its events."""
    manager = new_manager(connection, warn, segment_messages=SMALL)
    events = [text(f"message {number}") for number in range(count)]
    for given in events:
        manager.save_event(given, chat_id="c", enterprise_id="acme")
    return events


def without_index(connection: Connection, database: Any) -> list[Any]:
    """A session with segments whose index was dropped; returns its events."""
    events = grown(connection)
    database.chat_session_segments.drop_index(INDEX)
    return events


def test_the_first_move_creates_the_index_that_finds_moved_events(mongod: Any, database: Any) -> None:
    lookups = Lookups()
    watched = connect(mongod.uri, database.name, timeout_seconds=10, listener=lookups)
    events = grown(watched)
    assert INDEX in database.chat_session_segments.index_information()
    again = with_small_segments(watched).save_event(events[0], chat_id="c", enterprise_id="acme")
    assert again.saved_as is SavedAs.DUPLICATE
    cursor = watched.collection("chat_session_segments").find(lookups.queries[-1])
    plan = cursor.explain()["queryPlanner"]["winningPlan"]
    assert f"'indexName': '{INDEX}'" in repr(plan)
    watched.client.close()


def test_a_small_collection_without_the_index_gets_it_with_the_next_move(connection: Connection, database: Any) -> None:
    without_index(connection, database)
    warnings: list[str] = []
    grown(connection, warnings.append)
    assert INDEX in database.chat_session_segments.index_information()
    assert warnings == []


def test_an_append_without_a_move_creates_the_index_too(connection: Connection, database: Any) -> None:
    """Segments of an earlier version have no index, and a manager may append for long before anything moves."""
    without_index(connection, database)
    new_manager(connection).save_event(text("next"), chat_id="c", enterprise_id="acme")
    assert INDEX in database.chat_session_segments.index_information()


def test_an_append_without_a_move_warns_of_a_large_collection_without_the_index(
    connection: Connection, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_index(connection, database)
    monkeypatch.setattr("chatstore_cli.mongo.session_documents.segment_index._FEW_SEGMENTS", 1)
    warnings: list[str] = []
    manager = new_manager(connection, warnings.append)
    for number in range(2):
        manager.save_event(text(f"next {number}"), chat_id="c", enterprise_id="acme")
    assert [warning.partition(" on ")[0] for warning in warnings] == [f"Index {INDEX}"]


def test_an_index_on_the_same_keys_under_another_name_is_enough(connection: Connection, database: Any) -> None:
    database.chat_session_segments.create_index([("chat_id", 1), ("messages.event_id", 1)], name="theirs")
    warnings: list[str] = []
    grown(connection, warnings.append)
    assert set(database.chat_session_segments.index_information()) == {"_id_", "theirs"}
    assert warnings == []


def assert_one_warning_and_no_copies(connection: Connection, database: Any, events: list[Any], problem: str) -> None:
    warnings: list[str] = []
    manager = new_manager(connection, warnings.append, segment_messages=SMALL)
    for given in [text(f"more {number}") for number in range(3 * SMALL)]:
        assert manager.save_event(given, chat_id="c", enterprise_id="acme").saved_as is SavedAs.MESSAGE
    for given in events:
        assert manager.save_event(given, chat_id="c", enterprise_id="acme").saved_as is SavedAs.DUPLICATE
    assert INDEX not in database.chat_session_segments.index_information()
    assert len(warnings) == 1
    assert warnings[0].startswith(f"Index {INDEX} on chat_session_segments {problem}")
    assert warnings[0].endswith(
        ". Without it, each append to a session that has segments reads the whole collection. "
        "To create it, run: chatstore indexes apply"
    )


def test_a_large_collection_without_the_index_is_named_in_one_warning(
    connection: Connection, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = without_index(connection, database)
    monkeypatch.setattr("chatstore_cli.mongo.session_documents.segment_index._FEW_SEGMENTS", 1)
    assert_one_warning_and_no_copies(connection, database, events, "is missing")


def test_an_index_that_may_not_be_created_is_named_in_one_warning(
    connection: Connection, database: Any, fail_point: Any
) -> None:
    events = without_index(connection, database)
    with fail_point(["createIndexes"], errorCode=13):
        assert_one_warning_and_no_copies(
            connection, database, events, f"could not be checked or created (creating index {INDEX} on "
        )


def test_a_document_that_is_written_back_rejects_no_event(connection: Connection, database: Any) -> None:
    """An application writes an older copy back: the newest segment no longer counts, and messages move again."""
    manager = with_small_segments(connection)
    events = [text(f"message {number}") for number in range(60)]
    for given in events[:40]:
        manager.save_event(given, chat_id="c", enterprise_id="acme")
    copy = database.chat_sessions.find_one({})
    for given in events[40:]:
        manager.save_event(given, chat_id="c", enterprise_id="acme")
    database.chat_sessions.replace_one({"_id": copy["_id"]}, copy)
    MongoSegmentStore(WORKFLOW, connection, Settings()).move_oldest("c", keep_messages=1)
    for given in events[:40]:
        assert manager.save_event(given, chat_id="c", enterprise_id="acme").saved_as is SavedAs.DUPLICATE
    for given in events[40:]:
        assert manager.save_event(given, chat_id="c", enterprise_id="acme").saved_as is SavedAs.MESSAGE
    layout = WorkflowLayout(connection, Settings())
    stored = [message.content for message in layout.messages("c", MessageSelection())]
    assert stored == [given["content"]["content"] for given in events]


def test_an_event_whose_message_fills_a_segment_is_recognised(connection: Connection, database: Any) -> None:
    manager = with_small_segments(connection)
    events = [text("x"), text("y" * (16 * 1024 * 1024 - 80_000)), text("z")]
    for given in events[:2]:
        manager.save_event(given, chat_id="c", enterprise_id="acme")
    while MongoSegmentStore(WORKFLOW, connection, Settings()).move_oldest("c") is not None:
        pass
    for given in events[:2]:
        assert manager.save_event(given, chat_id="c", enterprise_id="acme").saved_as is SavedAs.DUPLICATE
    assert manager.save_event(events[2], chat_id="c", enterprise_id="acme").saved_as is SavedAs.MESSAGE
