"""Watching sessions or one session's messages: from a change stream if the server has one, else by polling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from chatstore_cli.core.watch.feed import Watch

if TYPE_CHECKING:
    from chatstore_cli.domain.message import Message
    from chatstore_cli.domain.queries import SessionQuery
    from chatstore_cli.domain.session_reader import SessionReader
    from chatstore_cli.domain.watch import SessionChange
    from chatstore_cli.wiring.stores import Stores

POLL_SECONDS = 1.0
"""Between two polls of a server that cannot report changes."""


def connect_watch(stores: Stores, watch: Watch) -> None:
    """Connect, so that the watch also reports outages that the driver retries by itself; starts the embedded MongoDB."""
    stores.listen(watch.note_answer, watch.note_failure)
    _ = stores.connection


def watched_sessions(stores: Stores, watch: Watch, query: SessionQuery, poll: float | None) -> Iterator[SessionChange]:
    """The changes of sessions that match, from now on or from `query.since`.

    With `poll` the database is queried every `poll` seconds, even if the server reports changes.
    """
    from chatstore_cli.core.readers import split_by_answer
    from chatstore_cli.core.watch.sessions import FollowedSessions, PolledSessions
    from chatstore_cli.mongo.watch.sessions import MongoSessionFeed

    def readers() -> Sequence[SessionReader]:
        return split_by_answer(stores.session_readers(query.layout), query)[0]

    for note in split_by_answer(stores.session_readers(query.layout), query)[1]:
        watch.say(note)
    if poll is None:
        feed = MongoSessionFeed(stores.connection, stores.settings, [reader.layout for reader in readers()])
        if watch.call(feed.open):
            return FollowedSessions(watch, readers, query, feed).changes()
        _announce_polling(watch)
    polled = PolledSessions(watch, readers, query, POLL_SECONDS if poll is None else poll)
    polled.begin()
    return polled.changes()


def watched_messages(
    stores: Stores,
    watch: Watch,
    readers: Sequence[SessionReader],
    session_id: str,
    since: datetime | None,
    poll: float | None,
) -> Iterator[Message]:
    """The messages of one session, from now on or from `since`. Raises NotFound and Conflict."""
    from chatstore_cli.core.readers import find_session
    from chatstore_cli.core.watch.messages import WatchedMessages
    from chatstore_cli.mongo.watch.messages import MongoMessageFeed

    reader, session = watch.call(lambda: find_session(readers, session_id))
    feed: MongoMessageFeed | None = None
    if poll is None:
        feed = watch.call(
            lambda: MongoMessageFeed(stores.connection, stores.settings, reader.layout, session.session_id)
        )
        if not watch.call(feed.open):
            _announce_polling(watch)
            feed = None
    watched = WatchedMessages(watch, reader, session.session_id, feed, since, poll or POLL_SECONDS)
    watched.begin()
    return watched.messages()


def _announce_polling(watch: Watch) -> None:
    watch.say(
        f"The server is not a replica set and cannot report changes, so it is queried every {POLL_SECONDS:g} s (to change "
        "this, add --poll SECONDS). Changes that are undone between two queries are not shown."
    )
