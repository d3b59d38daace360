"""A layout without a feed is queried beside those whose feed is followed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from chatstore_cli.core.watch.feed import Watch
from chatstore_cli.core.watch.sessions import FollowedSessions, PolledSessions
from chatstore_cli.domain.queries import MessageSelection, SessionKey, SessionQuery
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.watch import Batch, Change, SessionChange, SessionEvent

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@dataclass
class Reader:
    """Sessions of a layout without a feed, in memory."""

    sessions: list[Session] = field(default_factory=list)
    layout: str = "threads"

    def index_specs(self) -> tuple[Any, ...]:
        return ()

    def unanswerable(self, query: SessionQuery) -> list[str]:
        return []

    def newest_first(self, query: SessionQuery, after: SessionKey | None, limit: int) -> Iterator[Session]:
        return iter([each for each in self.sessions if query.matches(each)][:limit])

    def find(self, session_id: str, count_to: int | None = None) -> Session | None:
        return next((each for each in self.sessions if each.session_id == session_id), None)

    def messages(self, session_id: str, selection: MessageSelection) -> Iterator[Any]:
        return iter(())

    def all_facts(self, query: SessionQuery) -> Iterator[Session]:
        return iter(self.sessions)


class Feed:
    """One change in each batch. Before the batch of that number something happens in the other layout."""

    def __init__(self, watch: Watch, happens: dict[int, Any], last: int) -> None:
        self._watching = watch
        self._happens = happens
        self._last = last
        self._number = 0
        self.is_open = True

    def open(self) -> bool:
        return True

    def read(self) -> Batch[SessionEvent]:
        self._number += 1
        self._happens.get(self._number, lambda: None)()
        if self._number == self._last:
            self._watching.terminate()
        change = SessionChange(Change.NEW, Session(f"w-{self._number}", "workflow"), NOON)
        return Batch([SessionEvent(change, self._number, NOON)])

    def position(self) -> int:
        return self._number

    def close(self) -> None:
        self.is_open = False


def test_its_changes_come_between_those_of_the_feed_and_it_is_queried_as_often_as_told() -> None:
    watch, reader, seconds = Watch(print), Reader([Session("before", "threads", updated_at=NOON)]), iter(range(100))
    query, now = SessionQuery(), datetime.now(UTC)
    added = Session("t", "threads", created_at=now, updated_at=now, message_count=1)
    feed = Feed(watch, {2: lambda: reader.sessions.append(added)}, last=9)
    polled = PolledSessions(watch, lambda: [reader], query, seconds=5, timer=lambda: float(next(seconds)))
    polled.begin()
    rows = list(FollowedSessions(watch, lambda: [], query, feed).changes(polled))
    names = [row.session.session_id for row in rows]
    # A second passes with each look at the timer: it is queried before the first batch and before the sixth.
    assert names == [*(f"w-{number}" for number in range(1, 6)), "t", *(f"w-{number}" for number in range(6, 10))]
    assert rows[5].change is Change.NEW
    assert not feed.is_open


def test_since_starts_with_earlier_changes_of_both() -> None:
    watch, query = Watch(print), SessionQuery(since=NOON)
    feed = Feed(watch, {}, last=1)
    of_threads = Reader([Session("t", "threads", created_at=NOON, updated_at=NOON + timedelta(minutes=1))])
    of_workflow = Reader([Session("w", "workflow", created_at=NOON, updated_at=NOON)], "workflow")
    polled = PolledSessions(watch, lambda: [of_threads], query, seconds=5)
    polled.begin()
    rows = list(FollowedSessions(watch, lambda: [of_workflow], query, feed).changes(polled))
    assert [(row.session.session_id, row.change) for row in rows] == [
        ("w", Change.NEW),
        ("t", Change.NEW),
        ("w-1", Change.NEW),
    ]
