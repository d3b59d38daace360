"""Sessions as they change: followed where the server tells changes, looked for where it does not.

Both begin, with `since`, by asking for what was updated from then on. The feed stands before that question is asked, so
nothing falls between; what the answer had already is recognised in the feed by the time that its writer gave it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from chatstore_cli.core.sessions.listing import LARGEST_PAGE, list_sessions
from chatstore_cli.core.watch.feed import Watching
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.domain.times import Clock, rfc3339, utc_now
from chatstore_cli.domain.watch import Change, Feed, SessionChange, SessionEvent

LOOK_BACK = timedelta(minutes=1)
"""A look goes back this far before the newest session of the last one: clocks differ, and writers are late."""

REMEMBERED = 50_000
"""Sessions whose facts are remembered."""

Key = tuple[str, str]

Readers = Callable[[], Sequence[SessionReader]]
"""Gives readers for one look: they remember what indexes there are, which may change while somebody watches."""


def updated_since(watching: Watching, readers: Readers, query: SessionQuery, since: datetime | None) -> list[Session]:
    """The sessions that match, updated at or after that time, the longest ago first."""
    asked = replace(query, since=since)
    looking = readers()
    found: list[Session] = []
    cursor: str | None = None
    while True:
        page = watching.ask(lambda: list_sessions(looking, asked, cursor=cursor, limit=LARGEST_PAGE))  # noqa: B023 - asked at once
        found += page.sessions
        cursor = page.next_cursor
        if cursor is None or watching.is_over:
            return found[::-1]


class _Known:
    """The facts of the sessions met last, as they were told, and as what kind of change."""

    def __init__(self) -> None:
        self._held: OrderedDict[Key, tuple[Session, Change]] = OrderedDict()

    def __getitem__(self, session: Session) -> Session | None:
        row = self.row(session)
        return None if row is None else row[0]

    def row(self, session: Session) -> tuple[Session, Change] | None:
        return self._held.get(_key(session))

    def add(self, session: Session, change: Change = Change.CHANGED) -> None:
        self._held[_key(session)] = session, change
        self._held.move_to_end(_key(session))
        if len(self._held) > REMEMBERED:
            self._held.popitem(last=False)

    def remove(self, session: Session) -> None:
        self._held.pop(_key(session), None)

    def after(self, moment: datetime) -> list[Session]:
        return [each for each, _ in self._held.values() if each.updated_at is not None and each.updated_at >= moment]


class FollowedSessions:
    """Changes as the server tells them. `feed` is open."""

    def __init__(self, watching: Watching, readers: Readers, query: SessionQuery, feed: Feed[SessionEvent]) -> None:
        self._watching = watching
        self._readers = readers
        self._query = replace(query, since=None)
        self._since = query.since
        self._feed = feed
        self._told = _Known()
        self._caught: dict[Key, Session] = {}
        self._mark = 0

    def changes(self) -> Iterator[SessionChange]:
        """One for each change, in their order, until it is over."""
        try:
            yield from self._changes()
        finally:
            self._feed.close()

    def _changes(self) -> Iterator[SessionChange]:
        if self._since is not None:
            yield from self._catch_up(self._since, self._since)
        while not self._watching.is_over:
            taken = self._watching.ask(self._feed.take)
            for event in taken.events:
                if not self._is_told_already(event) and self._is_another_row(event.told):
                    yield event.told
            if taken.missed_since is not None:
                self._watching.say(
                    f"The server no longer has all changes since {rfc3339(taken.missed_since)}: what was updated from "
                    "then on is given as it stands now, and deletions in between are not told."
                )
                yield from self._catch_up(taken.missed_since, None)

    def _catch_up(self, since: datetime, new_from: datetime | None) -> Iterator[SessionChange]:
        self._caught = {}
        for session in updated_since(self._watching, self._readers, self._query, since):
            self._caught[_key(session)] = session
            known = self._told[session]
            is_new = known is None and new_from is not None and _created_from(session, new_from)
            change = SessionChange(Change.NEW if is_new else Change.CHANGED, session, session.updated_at)
            if known != session and self._is_another_row(change):
                yield change
        self._mark = self._watching.ask(self._feed.place)

    def _is_another_row(self, told: SessionChange) -> bool:
        """Whether it is to be told, and says more than the last row of its session but for the time."""
        row = (told.session, told.change)
        is_wanted = self._query.matches(told.session)
        if told.change is Change.DELETED:
            self._told.remove(told.session)
        elif is_wanted and self._told.row(told.session) == row:
            return False
        elif is_wanted:
            self._told.add(*row)
        return is_wanted

    def _is_told_already(self, event: SessionEvent) -> bool:
        """Whether catching up has told it: it happened before that ended, and the session was as new by then."""
        if event.place > self._mark:
            self._caught.clear()
        caught = self._caught.get(_key(event.told.session))
        if caught is None or event.told.change is Change.DELETED:
            return False
        if event.told.change is Change.NEW:
            return True
        if event.moment is None or caught.updated_at is None:
            return event.told.session == caught
        return event.moment <= caught.updated_at


class PolledSessions:
    """Changes as they show in the order of `updated_at`: of several between two looks only the last."""

    def __init__(
        self,
        watching: Watching,
        readers: Readers,
        query: SessionQuery,
        seconds: float,
        clock: Clock = utc_now,
    ) -> None:
        self._watching = watching
        self._readers = readers
        self._query = replace(query, since=None)
        self._since = query.since
        self._seconds = seconds
        self._clock = clock
        self._known = _Known()
        self._newest = self._first_from = clock()

    def begin(self) -> None:
        """The first look: what is there by now, is not new."""
        page = self._watching.ask(lambda: list_sessions(self._readers(), self._query, cursor=None, limit=1))
        for note in page.notes:
            self._watching.say(note)
        self._newest = self._clock()
        self._newest = max((each.updated_at for each in page.sessions if each.updated_at), default=self._newest)
        self._first_from = self._lower([])
        if self._since is None:
            for session in updated_since(self._watching, self._readers, self._query, self._first_from):
                self._known.add(session)

    def changes(self) -> Iterator[SessionChange]:
        """One for each session that changed since the last look, until it is over."""
        lower = new_from = self._first_from if self._since is None else self._since
        while not self._watching.is_over:
            found = updated_since(self._watching, self._readers, self._query, lower)
            yield from self._gone(lower, found)
            for session in found:
                known = self._known[session]
                self._known.add(session)
                if known != session:
                    is_new = known is None and _created_from(session, new_from)
                    yield SessionChange(Change.NEW if is_new else Change.CHANGED, session, session.updated_at)
            self._watching.pause(self._seconds)
            lower = self._lower(found)

    def _lower(self, found: Sequence[Session]) -> datetime:
        """From when on the next look asks: a clock that runs ahead must not hide the sessions of others."""
        now = self._clock()
        seen = [each.updated_at for each in found if each.updated_at is not None and each.updated_at <= now]
        self._newest = min(now, max([self._newest, *seen]))
        return self._newest - LOOK_BACK

    def _gone(self, lower: datetime, found: Sequence[Session]) -> Iterator[SessionChange]:
        here = {_key(session) for session in found}
        readers = {reader.layout: reader for reader in self._readers()}
        for session in self._known.after(lower):
            if _key(session) in here:
                continue
            self._known.remove(session)
            reader = readers[session.layout]
            if self._watching.ask(lambda: reader.find(session.session_id)) is None:  # noqa: B023 - asked at once
                yield SessionChange(Change.DELETED, session, self._clock())


def _key(session: Session) -> Key:
    return session.layout, session.session_id


def _created_from(session: Session, moment: datetime) -> bool:
    return session.created_at is not None and session.created_at >= moment
