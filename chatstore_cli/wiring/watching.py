"""Watching sessions or one session's messages: from a change stream if layout and server have one, else by polling."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from chatstore_cli.core.watch.feed import Watch
from chatstore_cli.domain.errors import MissingRight

if TYPE_CHECKING:
    from chatstore_cli.domain.message import Message
    from chatstore_cli.domain.queries import SessionQuery
    from chatstore_cli.domain.session_reader import SessionReader
    from chatstore_cli.domain.watch import SessionChange
    from chatstore_cli.mongo.watch.messages import MongoMessageFeed
    from chatstore_cli.mongo.watch.sessions import MongoSessionFeed
    from chatstore_cli.wiring.stores import Stores

POLL_SECONDS = 1.0
"""Between two polls of a server that cannot report changes."""


def connect_watch(stores: Stores, watch: Watch, layout: str | None) -> None:
    """Connect to MongoDB if it has sessions of the layout; starts the embedded MongoDB.

    The watch then also reports outages that the driver retries by itself.
    """
    if stores.uses_mongo(layout):
        stores.listen(watch.note_answer, watch.note_failure)
        _ = stores.connection


def watched_sessions(stores: Stores, watch: Watch, query: SessionQuery, poll: float | None) -> Iterator[SessionChange]:
    """The changes of sessions that match, from now on or from `query.since`.

    With `poll` the database is queried every `poll` seconds, even if the server reports changes.
    """
    from chatstore_cli.core.readers import split_by_answer
    from chatstore_cli.core.watch.sessions import FollowedSessions, PolledSessions
    from chatstore_cli.mongo.watch.sessions import MongoSessionFeed
    from chatstore_cli.mongo.watch.streamed_layout import StreamedLayout
    from chatstore_cli.wiring.readable import readable_sessions

    def readers_of(layouts: Sequence[str]) -> Callable[[], list[SessionReader]]:
        return lambda: [reader for reader in stores.session_readers(query.layout) if reader.layout in layouts]

    readers, unreadable = watch.call(lambda: readable_sessions(stores, query.layout, used_for_long=True))
    answering, notes = split_by_answer(readers, query, may_appear=True)
    for note in [*unreadable, *notes]:
        watch.say(note)
    if query.layout is None:
        answering = watch.call(lambda: [each for each in answering if not _is_absent_product(each)])
    streamed = [each for each in answering if isinstance(each, StreamedLayout)] if poll is None else []
    layouts = [reader.layout for reader in answering]
    others = [reader.layout for reader in answering if not isinstance(reader, StreamedLayout)]
    if poll is None and others:
        _announce_polling(watch, f"The layout {' and the layout '.join(others)} cannot report changes")
    feed = MongoSessionFeed(stores.connection, [each.session_changes() for each in streamed]) if streamed else None
    if feed is None or not _opened(watch, feed):
        polled = PolledSessions(watch, readers_of(layouts), query, poll or POLL_SECONDS)
        polled.begin()
        return polled.changes()
    followed = FollowedSessions(watch, readers_of([name for name in layouts if name not in others]), query, feed)
    if not others:
        return followed.changes()
    polled = PolledSessions(watch, readers_of(others), query, POLL_SECONDS)
    polled.begin()
    return followed.changes(polled)


def watched_messages(
    stores: Stores,
    watch: Watch,
    session_id: str,
    layout: str | None,
    since: datetime | None,
    poll: float | None,
) -> Iterator[Message]:
    """The messages of one session, from now on or from `since`. Raises NotFound and Conflict."""
    from chatstore_cli.core.readers import find_session, notes_on
    from chatstore_cli.core.watch.messages import WatchedMessages
    from chatstore_cli.mongo.watch.messages import MongoMessageFeed
    from chatstore_cli.mongo.watch.streamed_layout import StreamedLayout
    from chatstore_cli.wiring.readable import readable_sessions

    readers, unreadable = watch.call(lambda: readable_sessions(stores, layout, used_for_long=True))
    for note in unreadable:
        watch.say(note)
    reader, session = watch.call(lambda: find_session(readers, session_id))
    for note in notes_on(session):
        watch.say(note)
    feed: MongoMessageFeed | None = None
    if poll is None and isinstance(reader, StreamedLayout):
        changes = watch.call(lambda: reader.message_changes(session.session_id))
        feed = MongoMessageFeed(stores.connection, changes, session.session_id)
        feed = feed if _opened(watch, feed) else None
    elif poll is None:
        _announce_polling(watch, f"The layout {reader.layout} cannot report changes")
    watched = WatchedMessages(watch, reader, session.session_id, feed, since, poll or POLL_SECONDS)
    watched.begin()
    return watched.messages()


def _is_absent_product(reader: SessionReader) -> bool:
    """Whether the layout is another product's, and the database has nothing of it. Querying it would be in vain."""
    from chatstore_cli.domain.session_reader import ReaderOfCollection
    from chatstore_cli.mongo.layouts.registry import OTHER_PRODUCTS

    return reader.layout in OTHER_PRODUCTS and isinstance(reader, ReaderOfCollection) and reader.is_absent()


def _opened(watch: Watch, feed: MongoSessionFeed | MongoMessageFeed) -> bool:
    """Open a feed. If the user may not open a change stream, a notice reports that the server is queried instead."""
    reason = "The server is not a replica set and cannot report changes"
    try:
        if watch.call(feed.open):
            return True
    except MissingRight:  # rights on some collections do not include a change stream of the database
        reason = "This user may not open a change stream of the database"
    _announce_polling(watch, reason)
    return False


def _announce_polling(watch: Watch, reason: str) -> None:
    watch.say(
        f"{reason}, so it is queried every {POLL_SECONDS:g} s{watch.polling_hint}. Changes that are "
        "undone between two queries are not shown."
    )
