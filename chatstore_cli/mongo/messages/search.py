"""Finds messages of the `messages` layout.

A rare word is found in the text index, if there is one that can serve. Everything else is read newest first along the
index on (created_at, session_id), in windows of time, with a filter in the server. A window ends after a fraction of a
second, however few messages pass the filter, so a search can report how far it is and be interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, NamedTuple

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.search.indexes import TextPlan
from chatstore_cli.core.search.scanning import ScanningSearcher
from chatstore_cli.domain.search.models import Candidate, SearchQuery, SearchStep, TextFilter
from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.identifiers import addressable_id
from chatstore_cli.mongo.messages.ordering import MessagesInOrder
from chatstore_cli.mongo.messages.own_messages import OWN_MESSAGES
from chatstore_cli.mongo.messages.rows import to_message
from chatstore_cli.mongo.messages.session_times import RECENT_KEYS, SessionTimes
from chatstore_cli.mongo.messages.stored_times import EARLIEST, LATEST, LONGEST_SPREAD, NO_TIME, Range, listed_instant
from chatstore_cli.mongo.search.read_ahead import read_ahead
from chatstore_cli.mongo.search.steps import BATCH, batches, in_steps, merged
from chatstore_cli.mongo.search.text_index import Found, TextIndex

if TYPE_CHECKING:
    from chatstore_cli.mongo.messages.layout import MessagesLayout

_NOT_TEXT = [
    "double", "object", "array", "binData", "objectId", "bool", "date", "null", "regex", "javascript", "symbol",
    "javascriptWithScope", "int", "timestamp", "long", "decimal", "minKey", "maxKey",
]  # fmt: skip
_PLACE: Document = {"created_at": 1, "session_id": 1}
_FIRST_WINDOW = timedelta(hours=1)
_SHORT, _LONG = 0.1, 0.5
"""Seconds. After a window that took less, the next one is four times as long; after one that took more, half as long."""


def other_messages(language_field: str | None) -> Document:
    """The condition of messages whose text is not only a text in `text`: mongo/messages/rows.py reads other fields too."""
    calls = ("tool_calls", "function_call", *(() if language_field is None else (language_field,)))
    return {"$or": [{"text": {"$type": _NOT_TEXT}}, {"text": ""}, *({name: {"$exists": True}} for name in calls)]}


def search_plan(collection: str) -> TextPlan:
    """The search indexes of the collection of that name."""
    return TextPlan(collection, ("text",), (("created_at", -1),), other_messages)


class FlatMessageSearcher:
    """Finds the candidates of a search among flat messages."""

    def __init__(self, reader: MessagesLayout, connection: Connection, settings: Settings) -> None:
        self.reader: SessionReader = reader
        self._layout = reader
        self.remarks: list[str] = []
        self._connection = connection
        self._name = settings.messages_collection
        self._messages = connection.collection(self._name)
        milliseconds = max(1, int(settings.mongo.timeout_seconds * 1000))
        self._times = SessionTimes(self._messages, in_memory=connection.in_memory, milliseconds=milliseconds)
        self._index = TextIndex(connection, self._messages, search_plan(self._name))

    def steps(self, query: SearchQuery, text: TextFilter) -> Iterator[SearchStep]:
        """The candidates, the newest first. Messages without a time have that of their session's newest one."""
        if self._connection.in_memory:
            yield from ScanningSearcher(self.reader).steps(query, text)
            return
        with driver_errors(f"searching {self._name}"):
            if not self._layout.has_messages():
                return
            condition: Document = {"$and": [_may_match(text), _of_role(query)]}
            if query.session_id is not None:
                yield from self._of_session(query.session_id, condition)
            else:
                yield from merged(self._streams(query, text, condition))

    def _streams(self, query: SearchQuery, text: TextFilter, condition: Document) -> list[Iterator[SearchStep]]:
        found = self._index.rare(text.words, _PLACE)
        if found is not None:
            return [self._listed(_in_time(found.rows, query)), *self._others(found, query)]
        if text.words:
            self.remarks += self._index.remarks()
        if not self._times.has_recent_index:
            return [self._unsorted(condition)]
        without_time = self._messages.find({"$and": [{"$or": NO_TIME}, condition]}, _PLACE)
        return [
            *(self._in_windows(each, condition, query) for each in self._times.ranges),
            self._listed(without_time),
        ]

    # --- one session -------------------------------------------------------------------------------------------------

    def _of_session(self, session_id: str, condition: Document) -> Iterator[SearchStep]:
        ordered = MessagesInOrder(self._messages, session_id, f"searching session {session_id!r} in {self._name}")
        if ordered.is_empty:
            return
        newest = self._times.newest_of([session_id], exact=True).get(session_id)
        undated: list[Candidate] = []
        for batch in batches(ordered.newest_first(condition)):
            candidates = list(_candidates(batch))
            undated += (each for each in candidates if each.message.created_at is None)
            dated = [(each.message.created_at, each) for each in candidates if each.message.created_at is not None]
            if dated:
                yield SearchStep(min(moment for moment, _ in dated), [each for _, each in dated])
        yield SearchStep(newest, undated)

    # --- messages in order of time -----------------------------------------------------------------------------------

    def _in_windows(self, kind: Range, condition: Document, query: SearchQuery) -> Iterator[SearchStep]:
        """The messages with times of one kind, a window of time after the other."""
        for window in read_ahead(self._windows(kind, condition, query)):
            yield from self._in_order(window.rows, window.lower)
            yield SearchStep(window.lower)

    def _windows(self, kind: Range, condition: Document, query: SearchQuery) -> Iterator[Callable[[], _Window]]:
        newest, oldest = (self._edge(kind, direction) for direction in (-1, 1))
        ahead = LONGEST_SPREAD if self._times.are_mixed else self._times.greatest_offset
        upper, least = _latest(query, ahead, newest), _earliest(query, ahead, oldest)
        within, length, lower = kind.up_to(upper, ahead), _FIRST_WINDOW, upper
        last_seconds = [0.0]

        def read(limits: Document, lower: datetime) -> _Window:
            started = time.monotonic()
            wanted: Document = {"$and": [{"created_at": limits}, condition]}
            rows = self._messages.find(wanted).hint(list(RECENT_KEYS)).sort("created_at", -1).batch_size(BATCH)
            first = list(islice(rows, BATCH))
            last_seconds[0] = time.monotonic() - started
            return _Window(lower, chain(first, rows))

        is_last = upper < least
        while not is_last:
            lower = max(least, lower - min(length, lower - least))
            is_last = lower <= least
            first = kind.condition["$gte"] if is_last and query.since is None else kind.value_at(lower)
            yield partial(read, {**within, "$gte": first}, lower)
            within = {"$lt": first}
            seconds = last_seconds[0]
            length = length * 4 if seconds < _SHORT else length / 2 if seconds > _LONG else length

    def _edge(self, kind: Range, direction: int) -> datetime | None:
        """The newest or oldest time of a kind; None if it cannot be read."""
        rows = self._messages.find({"created_at": kind.condition}, {"_id": 0, "created_at": 1})
        return next((listed_instant(row["created_at"]) for row in rows.sort("created_at", direction).limit(1)), None)

    def _in_order(self, rows: Iterable[Document], lower: datetime) -> Iterator[SearchStep]:
        """The rows of a cursor, newest first; none is older than `lower`."""
        for batch in batches(rows):
            moments = [moment for row in batch if (moment := listed_instant(row.get("created_at"))) is not None]
            odd = [row for row in batch if listed_instant(row.get("created_at")) is None]
            yield from (step for step in self._listed(odd) if step.candidates)
            reached = max(lower, min(moments, default=LATEST))
            yield SearchStep(reached, [each for each in _candidates(batch) if each.message.created_at is not None])

    def _others(self, found: Found, query: SearchQuery) -> list[Iterator[SearchStep]]:
        """The messages that a text index cannot have in whole."""
        condition: Document = {"$and": [found.condition, _of_role(query)]}

        def read(wanted: Document) -> Any:
            rows = self._messages.find({"$and": [wanted, condition]}).hint(found.others.name)
            return rows.sort("created_at", -1).batch_size(BATCH)

        ranges = self._times.ranges
        dated = [self._in_order(read({"created_at": each.condition}), EARLIEST) for each in ranges]
        return [*dated, self._listed(read({"$or": NO_TIME}))]

    # --- messages in another order -----------------------------------------------------------------------------------

    def _unsorted(self, condition: Document) -> Iterator[SearchStep]:
        """The messages of a collection without an index that sorts them: they are sorted when all were read."""
        self.remarks.append(
            f"{self._name} has no index on (created_at, session_id), so the search reads every message before it shows one. "
            "To create it, run: chatstore indexes apply"
        )
        yield from self._listed(self._messages.find(condition, _PLACE))

    def _listed(self, rows: Iterable[Document]) -> Iterator[SearchStep]:
        """Messages in any order, read by their ids, newest first. Those without a time have that of their session."""
        placed = [(listed_instant(row.get("created_at")), _session_of(row), row["_id"]) for row in rows]
        undated = sorted({session for moment, session, _ in placed if moment is None and session is not None})
        newest = self._times.newest_of(undated, exact=True) if undated else {}
        placed = [(moment or newest.get(session or ""), session, stored_id) for moment, session, stored_id in placed]
        placed.sort(key=lambda each: each[0] or EARLIEST, reverse=True)
        for batch in batches(placed):
            read = {repr(row["_id"]): row for row in self._messages.find({"_id": {"$in": [each[2] for each in batch]}})}
            for moment, _, stored_id in batch:
                row = read.get(repr(stored_id))
                yield from in_steps(moment, _candidates([] if row is None else [row]), moment)
            yield SearchStep(batch[-1][0])


class _Window(NamedTuple):
    """The messages of a window of time, newest first; none is older than `lower`."""

    lower: datetime
    rows: Iterable[Document]


def _latest(query: SearchQuery, ahead: timedelta, newest: datetime | None) -> datetime:
    ends = [each for each in (query.until, query.continues_at) if each is not None]
    within = [LATEST if LATEST - each < ahead else each + ahead for each in ends]
    return min([*within, newest or LATEST])


def _earliest(query: SearchQuery, ahead: timedelta, oldest: datetime | None) -> datetime:
    if query.since is None:
        return oldest or EARLIEST
    since = EARLIEST if query.since - EARLIEST < ahead else query.since - ahead
    return max(since, oldest or EARLIEST)


def _may_match(text: TextFilter) -> Document:
    """The condition that every message with a hit meets."""
    if not text.patterns:
        return {}
    in_text: list[Document] = [{"text": {"$regex": each, "$options": "is"}} for each in text.patterns]
    return {"$or": [{"$and": in_text}, *other_messages(None)["$or"]]}


def _in_time(rows: Iterable[Document], query: SearchQuery) -> list[Document]:
    """The rows without those that are known to be outside the period."""
    until = min((each for each in (query.until, query.continues_at) if each is not None), default=LATEST)
    since = query.since or EARLIEST
    times = ((row, listed_instant(row.get("created_at"))) for row in rows)
    return [row for row, moment in times if moment is None or since <= moment <= until]


def _of_role(query: SearchQuery) -> Document:
    """The condition on the role. A message without a role that can be read is of the role `unknown`."""
    return {} if query.role in (None, "unknown") else {"role": query.role}


def _candidates(rows: Iterable[Document]) -> Iterator[Candidate]:
    for row in rows:
        if OWN_MESSAGES.matches(row) and _session_of(row) is not None:
            yield Candidate(to_message(row))


def _session_of(row: Document) -> str | None:
    return addressable_id(row.get("session_id"))
