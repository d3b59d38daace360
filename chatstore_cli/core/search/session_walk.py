"""The sessions that a search reads: newest first, also those that change while it runs, and those without a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

from chatstore_cli.domain.queries import SessionKey, SessionQuery
from chatstore_cli.domain.search.models import SearchQuery
from chatstore_cli.domain.session import Session

Item = TypeVar("Item")
Page = Callable[[SessionQuery, SessionKey | None, int], Iterable[Item]]
"""Returns at most so many sessions below a key, as SessionReader.newest_first does."""

_FIRST_PAGE = 50
_LARGEST_PAGE = 5_000
_GROWTH = 4
WITHOUT_TIME = SessionKey("0001-01-01T00:00:00.000001+00:00", "", "")
"""Only sessions without a time are below this key."""


class WalkPage(NamedTuple, Generic[Item]):
    """Sessions, newest first. The walk has come to `reached`; with `is_late` the sessions changed after it began."""

    items: list[Item]
    is_late: bool
    reached: datetime | None


class SessionWalk(Generic[Item]):
    """Walks the list of one layout's sessions.

    A session that is updated goes to the beginning of the list. If the walk has not come to it, it would not come to it
    any more. So after each page the walk reads the sessions again that changed since it began (`is_late`). They may have
    been read before.
    """

    def __init__(
        self,
        page: Page[Item],
        session_of: Callable[[Item], Session],
        query: SearchQuery,
    ) -> None:
        self._page = page
        self._session_of = session_of
        self._sessions = query.sessions
        self._newest: SessionKey | None = None
        self.began_at: datetime | None = None
        """The last update of the newest session when the walk began; None if there was none with a time."""

    def pages(self) -> Iterator[WalkPage[Item]]:
        """The pages; the sessions without a time are the last ones, whatever the times of the query."""
        after: SessionKey | None = None
        size = _FIRST_PAGE
        while items := list(self._page(self._sessions, after, size)):
            last = self._session_of(items[-1])
            if self._newest is None:
                first = self._session_of(items[0])
                self._newest, self.began_at = SessionKey.of(first), first.updated_at
            yield WalkPage(items, False, last.updated_at)
            yield from self._changed(last.updated_at)
            if len(items) < size:
                break
            after, size = SessionKey.of(last), min(size * _GROWTH, _LARGEST_PAGE)
        if self._sessions.since is not None:
            yield from self._without_time()

    def _changed(self, reached: datetime | None) -> Iterator[WalkPage[Item]]:
        """The sessions that are above the newest one of the last look."""
        known, after = self._newest, None
        while True:
            items = list(self._page(self._sessions, after, _FIRST_PAGE))
            new = [item for item in items if known is not None and SessionKey.of(self._session_of(item)) > known]
            if not new:
                return
            if after is None:
                self._newest = SessionKey.of(self._session_of(new[0]))
            yield WalkPage(new, True, reached)
            if len(new) < _FIRST_PAGE:
                return
            after = SessionKey.of(self._session_of(new[-1]))

    def _without_time(self) -> Iterator[WalkPage[Item]]:
        """Sessions without a time can have messages of any time."""
        whenever = replace(self._sessions, since=None)
        after, size = WITHOUT_TIME, _FIRST_PAGE
        while items := list(self._page(whenever, after, size)):
            yield WalkPage(items, False, None)
            if len(items) < size:
                return
            after, size = SessionKey.of(self._session_of(items[-1])), min(size * _GROWTH, _LARGEST_PAGE)
