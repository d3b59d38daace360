"""The sessions that a search reads if there is an index of words: far fewer, in the order of the list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from itertools import islice

from chatstore_cli.core.search.session_walk import WITHOUT_TIME, Page
from chatstore_cli.domain.queries import SessionKey, SessionQuery
from chatstore_cli.mongo.session_documents.listing import LocatedSession


class IndexedSessions:
    """Pages of three kinds of sessions: the newest ones, those with the words before them, and those without a time.

    The newest ones are those that were updated after the words are complete. They are all read.
    """

    def __init__(
        self, located: Page[LocatedSession], with_words: Callable[[], Iterable[LocatedSession]], until: datetime
    ) -> None:
        """`with_words` returns the sessions that have the words, in any order; `until` is the time up to which it has all."""
        self._located = located
        self._with_words = with_words
        self._until = until

    def page(self, query: SessionQuery, after: SessionKey | None, limit: int) -> Iterator[LocatedSession]:
        """At most `limit` sessions in descending order of SessionKey, strictly below `after`."""
        items = islice(self._below(query, after, limit), limit)
        yield from items

    def _below(self, query: SessionQuery, after: SessionKey | None, limit: int) -> Iterator[LocatedSession]:
        if after is None or after.instant >= self._until:
            since = self._until if query.since is None else max(query.since, self._until)
            yield from self._located(replace(query, since=since), after, limit)
        for each in self._older:
            if (after is None or SessionKey.of(each.session) < after) and query.matches(each.session):
                yield each
        if query.since is None:
            yield from self._located(query, WITHOUT_TIME if after is None else min(after, WITHOUT_TIME), limit)

    @cached_property
    def _older(self) -> list[LocatedSession]:
        """The sessions with the words, newest first, without those that are read anyway."""
        sessions = self._with_words()
        older = [
            each for each in sessions if each.session.updated_at is not None and each.session.updated_at < self._until
        ]
        return sorted(older, key=lambda each: SessionKey.of(each.session), reverse=True)
