"""The sessions of a collection of flat messages, newest first, read from indexes alone.

The time of a session is that of its newest message. The scan reads the index on (created_at, session_id), newest first:
one range per kind of stored time, merged. If a few sessions own all the newest messages, the scan stops, and the server
seeks the newest message of every session (session_times.py). Sessions without a time are looked up when all others
were read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from bson.min_key import MinKey
from pymongo.collection import Collection

from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.messages.session_times import CHUNK as CHUNK_SIZE
from chatstore_cli.mongo.messages.session_times import SessionTimes
from chatstore_cli.mongo.messages.stored_times import EARLIEST, ISO_TEXT, LATEST, LONGEST_SPREAD, Range, listed_instant

CHUNK = CHUNK_SIZE
SCAN_LIMIT = 5_000
"""Index entries that a scan reads before it stops."""


class _ScanLimitReached(Exception):
    """The scan read SCAN_LIMIT entries, and the result is not complete."""


class _Stream:
    """A scan of stored times of one range, newest first. `horizon` is the oldest time read so far."""

    def __init__(self, rows: Iterable[Document], times: SessionTimes, session_field: str, time_field: str) -> None:
        self._rows = iter(rows)
        self._times = times
        self._session_field = session_field
        self._time_field = time_field
        self._seen: set[str] = set()
        self.unclear: list[str] = []
        """Sessions of the last chunk whose time could not be read."""
        self.horizon = LATEST
        self.is_done = False

    def pull(self) -> dict[str, datetime]:
        """The sessions that appear first in the next chunk, each with its newest instant there."""
        rows = list(islice(self._rows, CHUNK))
        self.is_done = len(rows) < CHUNK
        self._times.note_forms(row[self._time_field] for row in rows)
        new: dict[str, datetime] = {}
        self.unclear = []
        for row in rows:
            session = self._times.session_of(row.get(self._session_field))
            if session is None or session in self._seen:
                continue
            moment = listed_instant(row[self._time_field])
            if moment is None:
                self.unclear.append(session)
            else:
                self._seen.add(session)
                new[session] = moment
        for row in reversed(rows):
            if (moment := listed_instant(row[self._time_field])) is not None:
                self.horizon = moment
                break
        return new


class RecentSessions:
    """The sessions of a collection in order of their times. Raises the driver's own errors."""

    def __init__(
        self, messages: Collection[Document], times: SessionTimes, *, in_memory: bool, milliseconds: int
    ) -> None:
        self._messages = messages
        self._times = times
        self._in_memory = in_memory
        self._milliseconds = milliseconds

    def newest_first(self, upper: datetime | None) -> Iterator[tuple[str, datetime]]:
        """Every session later than EARLIEST with its newest instant, in descending order of (instant, session).

        With `upper`, sessions whose newest message is not later; a few later ones may be included. The order is exact if
        texts have one form. Otherwise it takes into account the forms of the newest ones, of those near `upper`, and of
        those read so far.
        """
        if self._in_memory:
            every = [(moment, session) for session, moment in self._times.every() if moment is not None]
            yield from ((session, moment) for moment, session in sorted(every, reverse=True) if moment > EARLIEST)
            return
        if not self._times.has_recent_index:
            yield from self._every_in_order()
            return
        self._look_at_forms(upper)
        conditions = {each: each.condition for each in self._times.ranges}
        if upper is not None:
            conditions = {each: each.up_to(upper, self._times.greatest_offset) for each in conditions}
        yielded: set[str] = set()
        try:
            for session, moment in self._in_order(self._scans(conditions), limited=True, check=upper is not None):
                yielded.add(session)
                yield session, moment
            return
        except _ScanLimitReached:
            pass
        for session, moment in self._in_order(self._seeks(conditions), limited=False, check=upper is not None):
            if session not in yielded:
                yield session, moment

    def without_time(self) -> list[tuple[str, datetime | None]]:
        """The sessions without a readable time, and those at EARLIEST, in descending order of their ids.

        Both have the same time in a SessionKey. Every session is read.
        """
        every = self._times.every(milliseconds=self._milliseconds)
        return sorted(((each, moment) for each, moment in every if moment in (None, EARLIEST)), reverse=True)

    def _look_at_forms(self, upper: datetime | None) -> None:
        """Note the forms of the newest texts, and of those that an order by text may have put around `upper`."""
        if Range.TEXT in self._times.ranges:
            self._times.read(Range.TEXT.condition, CHUNK)
            if upper is not None:
                self._times.read(Range.TEXT.up_to(upper, LONGEST_SPREAD), CHUNK)

    def _every_in_order(self) -> Iterator[tuple[str, datetime]]:
        """Every session in order, for a collection without the index that shows which forms its times have."""
        newest: dict[str, datetime] = {}
        for stream in self._seeks({each: each.condition for each in Range}):
            while not stream.is_done:
                found = stream.pull() | self._times.newest_of(stream.unclear)
                newest |= {session: max(moment, newest.get(session, moment)) for session, moment in found.items()}
        if self._times.are_mixed:
            newest = self._times.newest_of(newest, exact=True)
        ordered = sorted(((moment, session) for session, moment in newest.items() if moment > EARLIEST), reverse=True)
        yield from ((session, moment) for moment, session in ordered)

    def _in_order(self, streams: list[_Stream], *, limited: bool, check: bool) -> Iterator[tuple[str, datetime]]:
        pending: dict[str, datetime] = {}
        settled: set[str] = set()
        chunks = 0
        while live := [stream for stream in streams if not stream.is_done]:
            if limited and chunks * CHUNK >= SCAN_LIMIT:
                raise _ScanLimitReached
            chunks += 1
            stream = max(live, key=lambda each: each.horizon)
            new = {session: moment for session, moment in stream.pull().items() if session not in settled}
            # A session below the upper limit may have newer messages above it. A scan meets the other times of a session
            # whose time it could not read; a seek does not.
            unclear = [*(new if check or self._times.are_mixed else []), *([] if limited else stream.unclear)]
            new |= {session: each for session, each in self._times.newest_of(unclear).items() if session not in settled}
            for session, moment in new.items():
                pending[session] = max(moment, pending.get(session, EARLIEST))
            horizon = max((stream.horizon for stream in streams if not stream.is_done), default=EARLIEST)
            spread = self._times.spread
            ready = [
                (moment, session)
                for session, moment in pending.items()
                if moment - horizon > spread or horizon == EARLIEST
            ]
            for moment, session in sorted(ready, reverse=True):
                del pending[session]
                settled.add(session)
                if moment > EARLIEST:
                    yield session, moment

    def _scans(self, conditions: Mapping[Range, Document]) -> list[_Stream]:
        covered = {"_id": 0, "created_at": 1, "session_id": 1}
        return [
            _Stream(
                self._messages.find({"created_at": condition}, covered)
                .sort("created_at", -1)
                .batch_size(CHUNK)
                .max_time_ms(self._milliseconds),
                self._times,
                "session_id",
                "created_at",
            )
            for condition in conditions.values()
        ]

    def _seeks(self, conditions: Mapping[Range, Document]) -> list[_Stream]:
        return [
            _Stream(
                self._aggregate(
                    [
                        *self._times.extreme(
                            {"session_id": {"$gt": MinKey()}, "created_at": each.condition}, newest=True
                        ),
                        # The newest text of a session that is not a time may hide an older one that is.
                        {"$match": {"$or": [{"found": condition}, {"found": {"$type": "string", "$not": ISO_TEXT}}]}},
                        {"$sort": {"found": -1, "_id": -1}},
                    ]
                ),
                self._times,
                "_id",
                "found",
            )
            for each, condition in conditions.items()
        ]

    def _aggregate(self, stages: Sequence[Document]) -> Iterable[dict[str, Any]]:
        return self._messages.aggregate(stages, allowDiskUse=True, maxTimeMS=self._milliseconds, batchSize=CHUNK)
