"""The sessions of a collection of flat messages, newest first, read from indexes alone.

The time of a session is that of its newest message. The scan reads the index on (created_at, session_id), newest first.
If a few sessions own all the newest messages, the scan stops, and the server seeks the newest message of every session
with one index seek each (a DISTINCT_SCAN of the index on (session_id, created_at)).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from itertools import islice
from typing import Any

from bson.min_key import MinKey
from pymongo.collection import Collection

from chatstore_cli.domain.times import read_instant
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.exact import exactly
from chatstore_cli.mongo.identifiers import id_condition, id_text, id_values
from chatstore_cli.mongo.messages.stored_times import BRACKETS, EARLIEST, LATEST, SECOND, TEXT, up_to, utc_offset

CHUNK = 500
SCAN_LIMIT = 5_000
"""Index entries that a scan reads before it stops."""

RECENT_KEYS = (("created_at", -1), ("session_id", 1))
SESSION_KEYS = (("session_id", 1), ("created_at", -1))


_USUAL_MESSAGE_COUNT = 150
_GREATEST_OFFSET = timedelta(hours=14)


class _ScanLimitReached(Exception):
    """The scan read SCAN_LIMIT entries, and the result is not complete."""


class _Stream:
    """A scan of stored times of one type, newest first. `horizon` is the oldest time read so far."""

    def __init__(self, rows: Iterable[Document], session_field: str, time_field: str) -> None:
        self._rows = iter(rows)
        self._session_field = session_field
        self._time_field = time_field
        self._seen: set[str] = set()
        self.horizon = LATEST
        self.is_done = False
        self.offsets = {timedelta()}

    def pull(self) -> dict[str, datetime]:
        """The sessions that appear first in the next chunk, each with its newest instant there."""
        rows = list(islice(self._rows, CHUNK))
        self.is_done = len(rows) < CHUNK
        new: dict[str, datetime] = {}
        for row in rows:
            owner = row.get(self._session_field)
            if owner is None or (session := id_text(owner)) in self._seen:
                continue
            value = row[self._time_field]
            moment = read_instant(value)
            if moment is not None:
                self._seen.add(session)
                self.offsets.add(utc_offset(value))
                new[session] = moment
        for row in reversed(rows):
            if (moment := read_instant(row[self._time_field])) is not None:
                self.horizon = moment
                break
        return new


class RecentSessions:
    """The sessions of a collection and their times. Raises the driver's own errors."""

    def __init__(self, messages: Collection[Document], *, in_memory: bool, milliseconds: int) -> None:
        self._messages = messages
        self._in_memory = in_memory
        self._milliseconds = milliseconds
        self.counted: Document = {}
        """What a counted message must meet besides its session. Empty: counts are from the index alone."""

    @cached_property
    def _indexes(self) -> list[Any]:
        return list(self._messages.list_indexes())

    @cached_property
    def _index_keys(self) -> set[tuple[tuple[str, Any], ...]]:
        return {tuple(index["key"].items()) for index in self._indexes if _is_complete(index)}

    @property
    def is_absent(self) -> bool:
        """Whether the collection does not exist."""
        return not self._indexes

    @property
    def has_recent_index(self) -> bool:
        """Whether the index on (created_at, session_id) exists."""
        return RECENT_KEYS in self._index_keys

    @property
    def has_session_index(self) -> bool:
        """Whether the index on (session_id, created_at) exists."""
        return SESSION_KEYS in self._index_keys

    def newest_first(self, upper: datetime | None) -> Iterator[tuple[str, datetime]]:
        """Every session with its newest instant, in descending order of (instant, session).

        With `upper`, sessions whose newest message is not later; a few later ones may be included. The order is exact if
        the stored times are dates and texts of one offset from UTC. Sessions without a readable time are omitted.
        """
        conditions: Sequence[dict[str, Any]] = BRACKETS
        if upper is not None:
            conditions = up_to(upper, self._greatest_offset())
        yielded: set[str] = set()
        if self.has_recent_index:
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

    def _in_order(self, streams: list[_Stream], *, limited: bool, check: bool) -> Iterator[tuple[str, datetime]]:
        pending: dict[str, datetime] = {}
        settled: set[str] = set()
        chunks = 0
        while live := [stream for stream in streams if not stream.is_done]:
            if limited and chunks * CHUNK >= SCAN_LIMIT:
                raise _ScanLimitReached
            chunks += 1
            new = max(live, key=lambda stream: stream.horizon).pull()
            new = {session: moment for session, moment in new.items() if session not in settled}
            if check and new:  # a session below the upper limit may have newer messages above it
                newest = self.newest_of(new)
                new = {session: newest.get(session, moment) for session, moment in new.items()}
            for session, moment in new.items():
                pending[session] = max(moment, pending.get(session, EARLIEST))
            horizon = max((stream.horizon for stream in streams if not stream.is_done), default=EARLIEST)
            offsets = [offset for stream in streams for offset in stream.offsets]
            slack = SECOND + max(offsets) - min(offsets)
            ready = [
                (moment, session)
                for session, moment in pending.items()
                if moment - horizon > slack or horizon == EARLIEST
            ]
            for moment, session in sorted(ready, reverse=True):
                del pending[session]
                settled.add(session)
                yield session, moment

    def _scans(self, conditions: Sequence[dict[str, Any]]) -> list[_Stream]:
        covered = {"_id": 0, "created_at": 1, "session_id": 1}
        return [
            _Stream(
                self._messages.find({"created_at": condition}, covered)
                .sort("created_at", -1)
                .batch_size(CHUNK)
                .max_time_ms(self._milliseconds),
                "session_id",
                "created_at",
            )
            for condition in conditions
        ]

    def _seeks(self, conditions: Sequence[dict[str, Any]]) -> list[_Stream]:
        every: Any = {"$ne": None} if self._in_memory else {"$gt": MinKey()}  # mongomock cannot compare with MinKey
        return [
            _Stream(
                self._aggregate(
                    [
                        *self._extreme({"session_id": every, "created_at": bracket}, newest=True),
                        {"$match": {"found": condition}},
                        {"$sort": {"found": -1, "_id": -1}},
                    ]
                ),
                "_id",
                "found",
            )
            for bracket, condition in zip(BRACKETS, conditions, strict=True)
        ]

    def every(self) -> Iterator[tuple[str, datetime | None]]:
        """Every session with its newest instant, in any order; None if no time of it can be read."""
        # No time limit: half a report is useless.
        rows = iter(self._messages.aggregate(self._extreme({}, newest=True), allowDiskUse=True, batchSize=CHUNK))
        while chunk := list(islice(rows, CHUNK)):
            newest = {id_text(row["_id"]): row["found"] for row in chunk if row["_id"] is not None}
            read = {
                session: read_instant(value) if isinstance(value, str) else None for session, value in newest.items()
            }
            # Newest first, every date comes before every text, so a session whose first time is a date may have newer text.
            mixed = self.newest_of(session for session, moment in read.items() if moment is None)
            for session, moment in read.items():
                yield session, moment or mixed.get(session) or read_instant(newest[session])

    def newest_of(self, sessions: Iterable[str]) -> dict[str, datetime]:
        """The newest instant of each of the sessions."""
        return self._extremes(sessions, newest=True)

    def oldest_of(self, sessions: Iterable[str]) -> dict[str, datetime]:
        """The oldest instant of each of the sessions."""
        return self._extremes(sessions, newest=False)

    def _extremes(self, sessions: Iterable[str], *, newest: bool) -> dict[str, datetime]:
        among = {"$in": [value for session in sessions for value in id_values(session)]}
        best: dict[str, datetime] = {}
        if not among["$in"]:
            return best
        prefer = max if newest else min
        for bracket in BRACKETS:
            for row in self._aggregate(self._extreme({"session_id": among, "created_at": bracket}, newest=newest)):
                moment = read_instant(row["found"])
                if moment is not None:
                    session = id_text(row["_id"])
                    best[session] = prefer(moment, best.get(session, moment))
        return best

    def _extreme(self, condition: Document, *, newest: bool) -> list[Document]:
        """Stages for the newest or oldest stored time of each session. In index order the server needs one seek per session."""
        if self.has_session_index:
            order = {"session_id": 1, "created_at": -1} if newest else {"session_id": -1, "created_at": 1}
            return [
                {"$match": condition},
                {"$sort": order},
                {"$group": {"_id": "$session_id", "found": {"$first": "$created_at"}}},
            ]
        accumulator = "$max" if newest else "$min"
        return [{"$match": condition}, {"$group": {"_id": "$session_id", "found": {accumulator: "$created_at"}}}]

    def counts_of(self, sessions: Sequence[str], cap: int) -> Iterator[tuple[str, int]]:
        """The number of messages of each session, counted in the index up to `cap` + 1."""
        if not sessions:
            return
        among = {"$in": [value for session in sessions for value in id_values(session)]}
        # Most sessions are small: one scan of the index counts all of them, unless one is large.
        limit = _USUAL_MESSAGE_COUNT * len(sessions) if self.has_session_index else 0
        limited: list[Document] = [{"$limit": limit}] if limit else []
        rows = self._aggregate(
            [
                {"$match": {"session_id": among, **self.counted}},
                {"$project": {"_id": 0, "session_id": 1}},
                *limited,
                {"$group": {"_id": "$session_id", "messages": {"$sum": 1}}},
            ]
        )
        counts: dict[str, int] = {}
        for row in rows:
            session = id_text(row["_id"])
            counts[session] = counts.get(session, 0) + int(row["messages"])
        if limit and sum(counts.values()) >= limit:
            yield from ((session, self._count(session, cap + 1)) for session in sessions)
        else:
            yield from ((session, counts.get(session, 0)) for session in sessions)

    def _count(self, session: str, limit: int) -> int:
        condition = {"session_id": id_condition(session), **self.counted}
        if self._in_memory:
            return self._messages.count_documents(condition, limit=limit)
        condition, option = exactly(self._messages, condition)
        # The count command counts index keys without reading them, at half the cost of count_documents.
        return int(
            self._messages.database.command(
                {"count": self._messages.name, "query": condition, "limit": limit, "maxTimeMS": self._milliseconds}
                | option,
                read_preference=self._messages.read_preference,
            )["n"]
        )

    def _greatest_offset(self) -> timedelta:
        """The offset from UTC of the newest text; without an index to look it up, the greatest offset that exists."""
        if not self.has_recent_index:
            return _GREATEST_OFFSET
        newest = self._messages.find({"created_at": TEXT}, {"_id": 0, "created_at": 1}).sort("created_at", -1).limit(1)
        offsets = [utc_offset(row["created_at"]) for row in newest.max_time_ms(self._milliseconds)]
        return max([timedelta(), *offsets])

    def _aggregate(self, stages: list[Document]) -> Iterable[Document]:
        return self._messages.aggregate(stages, allowDiskUse=True, maxTimeMS=self._milliseconds, batchSize=CHUNK)


def _is_complete(index: Any) -> bool:
    """Whether the index contains every document, in the order in which ids are compared (mongo/exact.py)."""
    return not index.get("sparse") and "partialFilterExpression" not in index and "collation" not in index
