"""What is watched: sessions or one session's messages, followed where the server tells changes, else looked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from chatstore_cli.core.watch.feed import Watching

if TYPE_CHECKING:
    from chatstore_cli.domain.message import Message
    from chatstore_cli.domain.queries import SessionQuery
    from chatstore_cli.domain.session_reader import SessionReader
    from chatstore_cli.domain.watch import SessionChange
    from chatstore_cli.wiring.stores import Stores

POLL_SECONDS = 1.0
"""Between two looks on a server that tells no changes."""


def prepare(stores: Stores, watching: Watching) -> None:
    """Connect, so that outages are told which the driver gets over by itself; starts the embedded MongoDB."""
    stores.listen(watching.answered, watching.failed)
    _ = stores.connection


def watched_sessions(
    stores: Stores, watching: Watching, query: SessionQuery, poll: float | None
) -> Iterator[SessionChange]:
    """The changes of sessions that match, from now on or from `query.since`.

    With `poll` the server is looked at every so many seconds even where it tells changes.
    """
    from chatstore_cli.core.readers import split_by_answer
    from chatstore_cli.core.watch.sessions import FollowedSessions, PolledSessions
    from chatstore_cli.mongo.watch.sessions import MongoSessionFeed

    def readers() -> Sequence[SessionReader]:
        return split_by_answer(stores.session_readers(query.layout), query)[0]

    for note in split_by_answer(stores.session_readers(query.layout), query)[1]:
        watching.say(note)
    if poll is None:
        feed = MongoSessionFeed(stores.connection, stores.settings, [reader.layout for reader in readers()])
        if watching.ask(feed.open):
            return FollowedSessions(watching, readers, query, feed).changes()
        _tell_of_polling(watching)
    polled = PolledSessions(watching, readers, query, POLL_SECONDS if poll is None else poll)
    polled.begin()
    return polled.changes()


def watched_messages(
    stores: Stores,
    watching: Watching,
    readers: Sequence[SessionReader],
    session_id: str,
    since: datetime | None,
    poll: float | None,
) -> Iterator[Message]:
    """The messages of one session, from now on or from `since`. Raises NotFound and Conflict."""
    from chatstore_cli.core.readers import find_session
    from chatstore_cli.core.watch.messages import PolledMessages, WatchedMessages
    from chatstore_cli.domain.watch import Feed, MessageEvent
    from chatstore_cli.mongo.watch.messages import MongoMessageFeed

    reader, session = watching.ask(lambda: find_session(readers, session_id))
    feed: Feed[MessageEvent]
    if poll is None:
        place = (stores.connection, stores.settings, reader.layout, session.session_id)
        feed = watching.ask(lambda: MongoMessageFeed(*place))
        if not watching.ask(feed.open):
            _tell_of_polling(watching)
            poll = POLL_SECONDS
    if poll is not None:
        feed = PolledMessages(watching, poll)
    watched = WatchedMessages(watching, reader, session.session_id, feed, since)
    watched.begin()
    return watched.messages()


def _tell_of_polling(watching: Watching) -> None:
    watching.say(
        f"The server is no replica set and tells no changes: it is looked at every {POLL_SECONDS:g} s "
        "(--poll SECONDS for another pause). What comes and goes between two looks is not seen."
    )
