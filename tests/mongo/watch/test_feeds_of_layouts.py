"""What the feeds of several layouts share: one order, and nothing is lost if the server fails between two steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo.database import Database

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.watch.feed import Watch
from chatstore_cli.domain.errors import Unreachable
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.domain.watch import Change, MessageEvent, SessionChange, SessionEvent
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.layouts.registry import LAYOUTS, OTHER_PRODUCTS
from chatstore_cli.mongo.threads.layout import ThreadsLayout
from chatstore_cli.mongo.watch.messages import MongoMessageFeed
from chatstore_cli.mongo.watch.sessions import MongoSessionFeed
from chatstore_cli.wiring import watching
from chatstore_cli.wiring.stores import Stores
from chatstore_cli.wiring.watching import watched_messages, watched_sessions
from tests.mongo.threads.test_repair import message, thread
from tests.support.mongod import poll

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]


def feed_of_all(connection: Connection) -> MongoSessionFeed:
    """The open feed of all layouts that have one."""
    layouts = [each(connection, Settings()) for name, each in LAYOUTS.items() if name not in OTHER_PRODUCTS]
    feed = MongoSessionFeed(connection, [layout.session_changes() for layout in layouts])
    assert feed.open()
    return feed


def read(feed: MongoSessionFeed, number: int) -> list[SessionEvent]:
    """The next events, that many."""
    found: list[SessionEvent] = []

    def has_all() -> bool:
        found.extend(feed.read().events)
        return len(found) >= number

    poll(has_all, what=f"{number} events")
    return found


def write_all(database: Documents, number: int) -> None:
    """A new session in each layout, in collections that may not exist yet."""
    now = datetime.now(UTC)
    database["chat_threads"].insert_one(thread(f"t{number}"))
    database["chat_sessions"].insert_one({"chat_id": f"w{number}", "messages": [], "updated_at": now})
    row = {"session_id": f"f{number}", "role": "user", "text": "x", "created_at": now.isoformat()}
    database["chat_messages"].insert_one(row)
    chat = {"_id": f"g{number}", "app_id": "acme", "messages": [], "last_updated_at": now}
    database["GeneralChatSessions"].insert_one(chat)


def test_changes_of_all_layouts_come_in_their_order(connection: Connection, database: Documents) -> None:
    with closing(feed_of_all(connection)) as feed:
        for number in range(3):
            write_all(database, number)
        events = read(feed, 12)
    assert [event.change.session.session_id for event in events] == [f"{n}{m}" for m in range(3) for n in "twfg"]
    assert {event.change.change for event in events} == {Change.NEW}
    assert [event.position for event in events] == sorted(event.position for event in events)


def test_a_fault_between_the_change_stream_and_the_facts_loses_neither_changes_nor_facts(
    connection: Connection, database: Documents, fail_point: Callable[..., Any]
) -> None:
    """The facts of the deleted sessions are remembered although the same batch is read again."""
    with closing(feed_of_all(connection)) as feed:
        write_all(database, 0)
        known = {event.change.session.session_id: event.change.session for event in read(feed, 4)}
        database["chat_threads"].delete_one({"_id": "t0"})
        database["chat_sessions"].delete_one({"chat_id": "w0"})
        database["GeneralChatSessions"].delete_one({"_id": "g0"})
        write_all(database, 1)
        failures = 0
        with fail_point(["aggregate"], times=1, errorCode=43, namespace=f"{database.name}.chat_messages"):
            events: list[SessionEvent] = []
            while len(events) < 7:
                try:
                    events += feed.read().events
                except Unreachable:
                    failures += 1
    assert failures
    assert [(event.change.session.session_id, event.change.change) for event in events[:3]] == [
        ("t0", Change.DELETED), ("w0", Change.DELETED), ("g0", Change.DELETED),
    ]  # fmt: skip
    assert [event.change.session for event in events[:3]] == [known["t0"], known["w0"], known["g0"]]


class MissedChanges:
    """A session whose change stream has missed changes, and whose look-up fails at first."""

    is_replaced = False
    lookups = 0

    def pipeline(self) -> list[dict[str, Any]]:
        return [{"$match": {}}]

    def events(self, change: dict[str, Any]) -> list[MessageEvent]:
        return []

    def refresh(self) -> None:
        self.lookups += 1
        if self.lookups == 1:
            raise Unreachable(what="down")


def test_missed_changes_are_reported_although_the_look_up_after_them_fails(connection: Connection) -> None:
    changes = MissedChanges()
    with closing(MongoMessageFeed(connection, changes, "s")) as feed:
        assert feed.open()
        feed._stream._missed_since = datetime(2026, 3, 2, tzinfo=UTC)
        with pytest.raises(Unreachable):
            feed.read()
        assert feed.read().missed_since == datetime(2026, 3, 2, tzinfo=UTC)
        assert feed.read().missed_since is None


# --- a layout without a feed -----------------------------------------------------------------------------------------


class WithoutFeed:
    """The reader of threads, as if their database could not report changes."""

    def __init__(self, reader: ThreadsLayout) -> None:
        self._reader = reader
        self.layout = reader.layout

    def __getattr__(self, name: str) -> Any:
        if name in ("session_changes", "message_changes"):
            raise AttributeError(name)
        return getattr(self._reader, name)


@pytest.fixture
def stores(
    connection: Connection, database: Documents, mongo_uri: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stores]:
    """The stores of the test's database, in which threads have no feed."""
    stores = Stores(Settings(), say=lambda text: None)
    stores.__dict__["connection"] = connection
    readers = Stores.session_readers

    def without_feed(layout: str | None = None, **options: Any) -> list[SessionReader]:
        found = readers(stores, layout, **options)
        return [WithoutFeed(each) if isinstance(each, ThreadsLayout) else each for each in found]

    monkeypatch.setattr(stores, "session_readers", without_feed)
    yield stores


def test_a_layout_without_a_feed_is_queried_beside_the_others_and_that_is_said(
    stores: Stores, database: Documents
) -> None:
    said: list[str] = []
    watch = Watch(said.append)
    changes: Iterator[SessionChange] = watched_sessions(stores, watch, SessionQuery(), None)
    assert len(said) == 1
    assert said[0].startswith("The layout threads cannot report changes, so it is queried every 1 s")
    write_all(database, 1)
    found = {next(changes).session.session_id for _ in range(4)}
    watch.terminate()
    assert found == {"t1", "w1", "f1", "g1"}
    assert list(changes) == []


def test_messages_of_a_layout_without_a_feed_are_queried_and_that_is_said(
    stores: Stores, database: Documents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "POLL_SECONDS", 0.05)
    said: list[str] = []
    watch = Watch(said.append)
    database["chat_threads"].insert_one(thread("t"))
    messages = watched_messages(stores, watch, "t", None, None, None)
    assert said[0].startswith("The layout threads cannot report changes")
    database["chat_thread_messages"].insert_one(message("t", 1))
    assert next(messages).sequence == 1
    watch.terminate()
