"""Sessions as they change: from a feed if their layouts have one and the server reports changes, else by polling.

One watch may use both. With `since`, both begin with a query for the sessions that were updated since then. The feed is
opened before the query, so no change is missed between the two. If the feed reports a change that the query has returned,
the time that its writer stored identifies it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from chatstore_cli.core.lru import LruMap
from chatstore_cli.core.sessions.listing import LARGEST_PAGE, list_sessions
from chatstore_cli.core.watch.feed import Watch
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.domain.times import rfc3339, utc_now
from chatstore_cli.domain.watch import Change, Feed, SessionChange, SessionEvent

POLL_OVERLAP = timedelta(minutes=1)
"""A poll goes back this far before the newest session of the last one: clocks differ, and writers are late."""

_REMEMBERED_SESSIONS = 50_000

Key = tuple[str, str]

Readers = Callable[[], Sequence[SessionReader]]
"""Returns new readers for one query: a reader remembers which indexes exist, and that may change during a watch."""


def updated_since(watch: Watch, readers: Readers, query: SessionQuery, since: datetime | None) -> list[Session]:
    """The sessions that match and were updated at or after that time, the oldest update first."""
    query = replace(query, since=since)
    page_readers = readers()
    sessions: list[Session] = []
    cursor: str | None = None
    while True:
        page = watch.call(lambda: list_sessions(page_readers, query, cursor=cursor, limit=LARGEST_PAGE))  # noqa: B023 - called at once
        sessions += page.sessions
        cursor = page.next_cursor
        if cursor is None or watch.is_over:
            return sessions[::-1]


class FollowedSessions:
    """Changes as the server reports them. `feed` is open."""

    def __init__(self, watch: Watch, readers: Readers, query: SessionQuery, feed: Feed[SessionEvent]) -> None:
        self._watch = watch
        self._readers = readers
        self._query = replace(query, since=None)
        self._since = query.since
        self._feed = feed
        self._shown: LruMap[Key, tuple[Session, Change]] = LruMap(_REMEMBERED_SESSIONS)
        self._queried: dict[Key, Session] = {}
        self._query_position = 0

    def changes(self, polled: PolledSessions | None = None) -> Iterator[SessionChange]:
        """One for each change, in their order, and those of other layouts between them, until the watch terminates.

        `polled` has begun.
        """
        try:
            yield from self._changes(polled)
        finally:
            self._feed.close()

    def _changes(self, polled: PolledSessions | None) -> Iterator[SessionChange]:
        if self._since is not None:
            yield from self._catch_up(self._since, self._since)
        while not self._watch.is_over:
            if polled is not None:
                yield from polled.due_changes()
            batch = self._watch.call(self._feed.read)
            for event in batch.events:
                if not self._was_queried(event) and self._is_another_row(event.change):
                    yield event.change
            if batch.missed_since is not None:
                self._watch.say(
                    f"The server no longer has all changes since {rfc3339(batch.missed_since)}. Sessions updated from "
                    "then on are shown with their present facts; deletions in between are not shown."
                )
                yield from self._catch_up(batch.missed_since, None)

    def _catch_up(self, since: datetime, new_from: datetime | None) -> Iterator[SessionChange]:
        self._queried = {}
        for session in updated_since(self._watch, self._readers, self._query, since):
            self._queried[_key(session)] = session
            shown = self._shown.get(_key(session))
            is_new = shown is None and new_from is not None and _created_from(session, new_from)
            change = SessionChange(Change.NEW if is_new else Change.CHANGED, session, session.updated_at)
            if (shown is None or shown[0] != session) and self._is_another_row(change):
                yield change
        self._query_position = self._watch.call(self._feed.position)

    def _is_another_row(self, change: SessionChange) -> bool:
        """Whether the change matches the query and differs from the last row of its session by more than the time."""
        key, row = _key(change.session), (change.session, change.change)
        is_match = self._query.matches(change.session)
        if change.change is Change.DELETED:
            self._shown.pop(key)
        elif is_match and self._shown.get(key) == row:
            return False
        elif is_match:
            self._shown.put(key, row)
        return is_match

    def _was_queried(self, event: SessionEvent) -> bool:
        """Whether the last query returned the change: it happened before the query ended, and is not newer."""
        if event.position > self._query_position:
            self._queried.clear()
        queried = self._queried.get(_key(event.change.session))
        if queried is None or event.change.change is Change.DELETED:
            return False
        if event.change.change is Change.NEW:
            return True
        if event.written_at is None or queried.updated_at is None:
            return event.change.session == queried
        return event.written_at <= queried.updated_at


class PolledSessions:
    """Changes found by queries in the order of `updated_at`: of several changes between two polls only the last."""

    def __init__(
        self,
        watch: Watch,
        readers: Readers,
        query: SessionQuery,
        seconds: float,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._watch = watch
        self._readers = readers
        self._query = replace(query, since=None)
        self._since = query.since
        self._seconds = seconds
        self._timer = timer
        self._due_at = timer()
        self._known: LruMap[Key, Session] = LruMap(_REMEMBERED_SESSIONS)
        self._newest = self._poll_from = self._new_from = utc_now()

    def begin(self) -> None:
        """Query the newest sessions, so that they do not count as new."""
        page = self._watch.call(lambda: list_sessions(self._readers(), self._query, cursor=None, limit=1))
        for note in page.notes:
            self._watch.say(note)
        self._newest = utc_now()
        self._newest = max(
            (session.updated_at for session in page.sessions if session.updated_at), default=self._newest
        )
        first_from = self._next_from([])
        self._poll_from = self._new_from = first_from if self._since is None else self._since
        if self._since is None:
            for session in updated_since(self._watch, self._readers, self._query, first_from):
                self._known.put(_key(session), session)

    def changes(self) -> Iterator[SessionChange]:
        """One for each session that changed since the last poll, until the watch terminates."""
        while not self._watch.is_over:
            yield from self._poll()
            self._watch.pause(self._seconds)

    def due_changes(self) -> Iterator[SessionChange]:
        """Those since the last poll, or none if that was a short time ago."""
        if self._timer() >= self._due_at:
            yield from self._poll()
            self._due_at = self._timer() + self._seconds

    def _poll(self) -> Iterator[SessionChange]:
        sessions = updated_since(self._watch, self._readers, self._query, self._poll_from)
        yield from self._deletions(self._poll_from, sessions)
        for session in sessions:
            known = self._known.get(_key(session))
            self._known.put(_key(session), session)
            if known != session:
                is_new = known is None and _created_from(session, self._new_from)
                yield SessionChange(Change.NEW if is_new else Change.CHANGED, session, session.updated_at)
        self._poll_from = self._next_from(sessions)

    def _next_from(self, sessions: Sequence[Session]) -> datetime:
        """The start of the next query. A writer whose clock runs ahead must not hide the sessions of others."""
        now = utc_now()
        updates = [each.updated_at for each in sessions if each.updated_at is not None and each.updated_at <= now]
        self._newest = min(now, max([self._newest, *updates]))
        return self._newest - POLL_OVERLAP

    def _deletions(self, poll_from: datetime, sessions: Sequence[Session]) -> Iterator[SessionChange]:
        returned = {_key(session) for session in sessions}
        readers = {reader.layout: reader for reader in self._readers()}
        for session in self._known.values():
            if session.updated_at is None or session.updated_at < poll_from or _key(session) in returned:
                continue
            self._known.pop(_key(session))
            reader = readers[session.layout]
            if self._watch.call(lambda: reader.find(session.session_id)) is None:  # noqa: B023 - called at once
                yield SessionChange(Change.DELETED, session, utc_now())


def _key(session: Session) -> Key:
    return session.layout, session.session_id


def _created_from(session: Session, instant: datetime) -> bool:
    return session.created_at is not None and session.created_at >= instant
