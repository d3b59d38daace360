"""The newest and oldest time of sessions of flat messages, read from indexes alone.

A session may have times of several kinds, and texts that are not times. Its newest time is the newest one that can be
read. Per range of stored times (stored_times.py) the server seeks the last value of each session with one index seek (a
DISTINCT_SCAN of the index on (session_id, created_at)).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from itertools import islice
from typing import Any

import pymongo.errors as driver
from pymongo.collection import Collection

from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.identifiers import addressable_id, id_condition, id_values
from chatstore_cli.mongo.messages.stored_times import (
    Range,
    TextForm,
    listed_instant,
    near,
    range_of,
    spread_of,
    text_form,
)

CHUNK = 500
RECENT_KEYS = (("created_at", -1), ("session_id", 1))
SESSION_KEYS = (("session_id", 1), ("created_at", -1))

_SESSIONS_AT_ONCE = 100
_COVERED = {"_id": 0, "created_at": 1, "session_id": 1}

_VIEW = 166
"""The server's error code for a command that a view does not support."""


class SessionTimes:
    """The times of the sessions of a collection. Raises the driver's own errors."""

    def __init__(self, messages: Collection[Document], *, in_memory: bool, milliseconds: int) -> None:
        self._messages = messages
        self._in_memory = in_memory
        self._milliseconds = milliseconds
        self._forms: set[TextForm] = set()
        self.unaddressable: dict[str, Any] = {}
        """The stored ids, met so far, that no text can address, by their representations."""

    # --- what the collection has -------------------------------------------------------------------------------------

    @cached_property
    def _indexes(self) -> list[Any]:
        try:
            return list(self._messages.list_indexes())
        except driver.OperationFailure as error:
            if error.code != _VIEW:
                raise
            return [{"key": {"_id": 1}}]  # a view exists and has no indexes of its own

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

    @cached_property
    def ranges(self) -> tuple[Range, ...]:
        """The ranges in which the collection has values; all of them if no index shows it."""
        if not self.has_recent_index:
            return tuple(Range)
        return tuple(each for each in Range if self.read(each.condition, 1))

    def read(self, condition: Document, limit: int) -> list[Any]:
        """The last `limit` times that meet a condition, newest first."""
        rows = self._messages.find({"created_at": condition}, _COVERED).sort("created_at", -1).limit(limit)
        times = [row["created_at"] for row in rows.max_time_ms(self._milliseconds)]
        self.note_forms(times)
        return times

    def note_forms(self, times: Iterable[Any]) -> None:
        """Note in which forms texts are stored."""
        self._forms.update(text_form(value) for value in times if isinstance(value, str) and listed_instant(value))

    @property
    def are_mixed(self) -> bool:
        """Whether texts in several forms were read, whose order is not that of their instants."""
        return len(self._forms) > 1

    @property
    def spread(self) -> timedelta:
        """How far the stored order may differ from that of the instants, as far as forms were read."""
        return spread_of(self._forms)

    @property
    def greatest_offset(self) -> timedelta:
        """How far texts may sort after their instants."""
        return self.spread if self.are_mixed else max([timedelta(), *(form.offset for form in self._forms)])

    # --- times of sessions -------------------------------------------------------------------------------------------

    def session_of(self, stored: Any) -> str | None:
        """The session of a stored id; None, and noted, if no text can address it."""
        session = addressable_id(stored)
        if session is None:
            self.unaddressable.setdefault(repr(stored)[:200], stored)
        return session

    def every(self, *, milliseconds: int | None = None) -> Iterator[tuple[str, datetime | None]]:
        """Every session with its newest instant, in any order; None if it has no time that can be read."""
        if self._in_memory:
            yield from ((session, max(moments, default=None)) for session, moments in self._all_moments().items())
            return
        limit: dict[str, Any] = {} if milliseconds is None else {"maxTimeMS": milliseconds}
        stages = self.extreme({}, newest=True)
        rows = iter(self._messages.aggregate(stages, allowDiskUse=True, batchSize=CHUNK, **limit))
        while chunk := list(islice(rows, CHUNK)):
            found = [(session, row) for row in chunk if (session := self.session_of(row["_id"])) is not None]
            repeated = self._stored_as_text(session for session, row in found if type(row["_id"]) is not str)
            newest = {
                session: row["found"] for session, row in found if type(row["_id"]) is str or session not in repeated
            }
            self.note_forms(newest.values())
            read = {session: self._certain(session, value) for session, value in newest.items()}
            others = self.newest_of([session for session, moment in read.items() if moment is None])
            for session, moment in read.items():
                yield session, moment or others.get(session)

    def _certain(self, session: str, last: Any) -> datetime | None:
        """The instant of a session's last value, if it is certain that no other value of the session is newer."""
        kind = range_of(last)
        # Dates come after texts, so a session whose last value is a text has no dates.
        comparable = {kind, Range.DATE} if kind is Range.TEXT else {kind}
        if self.are_mixed or not comparable.issuperset(self.ranges):
            return None
        return None if self._has_other_ids and len(id_values(session)) > 1 else listed_instant(last)

    @cached_property
    def _has_other_ids(self) -> bool:
        """Whether there are ids that are not text; true if no index shows it."""
        if not self.has_session_index:
            return True
        others = {"session_id": {"$type": ["number", "objectId", "binData"]}}
        return self._messages.find_one(others, {"_id": 1}, max_time_ms=self._milliseconds) is not None

    def _stored_as_text(self, sessions: Iterable[str]) -> set[str]:
        """Those of the ids of another type that are stored as text too: both are the same session."""
        among = list(sessions)
        if not among:
            return set()
        rows = self._aggregate([{"$match": {"session_id": {"$in": among}}}, {"$group": {"_id": "$session_id"}}])
        return {row["_id"] for row in rows if type(row["_id"]) is str}

    def newest_of(self, sessions: Iterable[str], *, exact: bool = False) -> dict[str, datetime]:
        """The newest instant of each of the sessions. `exact`: also if it has texts in forms that were not noted."""
        return self._extremes(list(sessions), newest=True, exact=exact)

    def oldest_of(self, sessions: Iterable[str], *, exact: bool = False) -> dict[str, datetime]:
        """The oldest instant of each of the sessions."""
        return self._extremes(list(sessions), newest=False, exact=exact)

    def _extremes(self, sessions: Sequence[str], *, newest: bool, exact: bool) -> dict[str, datetime]:
        prefer = max if newest else min
        if self._in_memory:
            moments = self._all_moments()
            return {session: prefer(moments[session]) for session in sessions if moments.get(session)}
        among = {"$in": [value for session in sessions for value in id_values(session)]}
        best: dict[str, datetime] = {}
        if not among["$in"]:
            return best
        for each in self.ranges:
            ends = self._aggregate(self.extreme({"session_id": among, "created_at": each.condition}, newest=newest))
            unclear: list[Document] = []
            for row in ends:
                session, moment = addressable_id(row["_id"]), listed_instant(row["found"])
                if session is None:
                    continue
                if moment is not None:
                    best[session] = prefer(moment, best.get(session, moment))
                if moment is None or (each is Range.TEXT and (exact or self.are_mixed)):
                    condition = near(row["found"], newest=newest) if moment is not None else each.condition
                    unclear.append({"session_id": id_condition(session), "created_at": condition})
            for session, moment in self._moments(unclear):
                best[session] = prefer(moment, best.get(session, moment))
        return best

    def _moments(self, conditions: Sequence[Document]) -> Iterator[tuple[str, datetime]]:
        """Every time that meets one of the conditions and can be read."""
        for start in range(0, len(conditions), _SESSIONS_AT_ONCE):
            some = {"$or": list(conditions[start : start + _SESSIONS_AT_ONCE])}
            for row in self._messages.find(some, _COVERED).max_time_ms(self._milliseconds):
                session, moment = addressable_id(row.get("session_id")), listed_instant(row.get("created_at"))
                if session is not None and moment is not None:
                    yield session, moment

    def extreme(self, condition: Document, *, newest: bool) -> list[Document]:
        """Stages for the last or first stored time of each session. In index order the server needs one seek per session."""
        if self.has_session_index:
            order = {"session_id": 1, "created_at": -1} if newest else {"session_id": -1, "created_at": 1}
            return [
                {"$match": condition},
                {"$sort": order},
                {"$group": {"_id": "$session_id", "found": {"$first": "$created_at"}}},
            ]
        accumulator = "$max" if newest else "$min"
        return [{"$match": condition}, {"$group": {"_id": "$session_id", "found": {accumulator: "$created_at"}}}]

    def _all_moments(self) -> dict[str, list[datetime]]:
        """Every session with all its instants. For mongomock, which does not compare values of different types."""
        moments: dict[str, list[datetime]] = defaultdict(list)
        for row in self._messages.find({"session_id": {"$exists": True}}):
            if (session := self.session_of(row["session_id"])) is not None:
                moment = listed_instant(row.get("created_at"))
                moments[session] += [] if moment is None else [moment]
        return moments

    def _aggregate(self, stages: list[Document]) -> Iterable[Document]:
        return self._messages.aggregate(stages, allowDiskUse=True, maxTimeMS=self._milliseconds, batchSize=CHUNK)


def _is_complete(index: Any) -> bool:
    """Whether the index contains every document, in the order in which ids are compared (mongo/exact.py)."""
    return not index.get("sparse") and "partialFilterExpression" not in index and "collation" not in index
