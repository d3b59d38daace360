"""Finds messages of the `messages` layout.

A rare word is found in the text index, if there is one that can serve. Everything else is read newest first along the
index on (created_at, session_id), with a filter in the server (search_windows.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

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
from chatstore_cli.mongo.messages.search_windows import SearchWindows, TimedRows
from chatstore_cli.mongo.messages.session_times import SessionTimes
from chatstore_cli.mongo.messages.stored_times import EARLIEST, LATEST, NO_TIME, listed_instant
from chatstore_cli.mongo.search.steps import BATCH, batches, in_steps, merged
from chatstore_cli.mongo.search.text_condition import conditions
from chatstore_cli.mongo.search.text_index import NOT_A_TEXT_TYPES, Others, TextIndex


class _Reader(SessionReader, Protocol):
    """The reader of flat messages."""

    def has_messages(self) -> bool:
        """Whether the collection exists, and does not belong to another product."""


_NO_TEXT: Document = {"text": {"$type": list(NOT_A_TEXT_TYPES)}}
_NOT_SEARCHED = (
    "_id", "session_id", "role", "name", "metadata", "vector_ids", "created_at", "expires_at", "sequence", "message_id",
    "event_type", "source", "tool_call_id", "reasoning_content",
)  # fmt: skip
"""The fields of a stored message that are not part of its text."""
_PLACE: Document = {"created_at": 1, "session_id": 1}


def other_messages(language_field: str | None) -> Document:
    """The condition of messages whose text is not only a text in `text`: mongo/messages/rows.py reads other fields too."""
    calls = ("tool_calls", "function_call", *(() if language_field is None else (language_field,)))
    return {"$or": [_NO_TEXT, {"text": ""}, *({name: {"$exists": True}} for name in calls)]}


def search_plan(collection: str) -> TextPlan:
    """The search indexes of the collection of that name."""
    return TextPlan(collection, ("text",), (("created_at", -1),), other_messages)


class FlatMessageSearcher:
    """Finds the candidates of a search among flat messages."""

    def __init__(self, reader: _Reader, connection: Connection, settings: Settings) -> None:
        self.reader: SessionReader = reader
        self._layout = reader
        self.remarks: list[str] = []
        self._with_lists: set[str] = set()
        self._connection = connection
        self._name = settings.messages_collection
        self._messages = connection.collection(self._name)
        milliseconds = max(1, int(settings.mongo.timeout_seconds * 1000))
        self._times = SessionTimes(self._messages, in_memory=connection.in_memory, milliseconds=milliseconds)
        self._windows = SearchWindows(self._messages, self._times)
        self._index = TextIndex(connection, self._messages, search_plan(self._name))

    def steps(self, query: SearchQuery, text: TextFilter) -> Iterator[SearchStep]:
        """The candidates, the newest first. Messages without a time have that of their session's newest one."""
        if self._connection.in_memory:
            yield from ScanningSearcher(self.reader).steps(query, text)
            return
        self._with_lists.clear()
        with driver_errors(f"searching {self._name}"):
            if not self._layout.has_messages():
                return
            condition: Document = {"$and": [_may_match(text), _of_role(query)]}
            if query.session_id is not None:
                yield from self._of_session(query.session_id, condition)
            else:
                yield from merged(self._streams(query, text, condition))

    def _streams(self, query: SearchQuery, text: TextFilter, condition: Document) -> list[Iterator[SearchStep]]:
        others = self._index.others if text.words else None
        rows = self._index.rare(text.words, _PLACE)
        if others is not None and rows is not None:
            not_others = {"$nor": [others.condition]}
            return [self._listed(_in_time(rows, query), not_others), *self._others(others, query, text)]
        if text.words:
            self.remarks += self._index.remarks()
        if not self._times.has_recent_index:
            return [self._unsorted(condition)]
        without_time = self._messages.find({"$and": [{"$or": NO_TIME}, condition]}, _PLACE)
        return [
            *(self._in_order(self._windows.newest_first(kind, condition, query)) for kind in self._times.ranges),
            self._without_time(without_time),
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

    def _in_order(self, parts: Iterable[TimedRows]) -> Iterator[SearchStep]:
        for reached, rows in parts:
            odd = (row for row in rows if listed_instant(row.get("created_at")) is None)
            yield from (step for step in self._without_time(odd) if step.candidates)
            yield SearchStep(reached, [each for each in _candidates(rows) if each.message.created_at is not None])

    def _others(self, others: Others, query: SearchQuery, text: TextFilter) -> list[Iterator[SearchStep]]:
        """The messages that a text index cannot have in whole."""
        hits = conditions(text, _NOT_SEARCHED, _with_text)
        condition: Document = {"$and": [others.condition, _of_role(query), *hits]}

        def read(wanted: Document) -> Any:
            rows = self._messages.find({"$and": [wanted, condition]}).hint(others.name)
            return rows.sort("created_at", -1).batch_size(BATCH)

        dated = [
            self._in_order(self._windows.in_order(kind, read({"created_at": self._windows.period(kind, query)}), query))
            for kind in self._times.ranges
        ]
        return [*dated, self._without_time(read({"$or": NO_TIME}))]

    # --- messages in another order -----------------------------------------------------------------------------------

    def _unsorted(self, condition: Document) -> Iterator[SearchStep]:
        """The messages of a collection without an index that sorts them: they are sorted when all were read."""
        self.remarks.append(
            f"{self._name} has no index on (created_at, session_id), so the search reads every message before it shows one. "
            "To create it, run: chatstore indexes apply"
        )
        yield from self._listed(self._messages.find(condition, _PLACE))

    def _without_time(self, rows: Iterable[Document]) -> Iterator[SearchStep]:
        yield from self._listed(filter(self._is_new, rows))

    def _listed(self, rows: Iterable[Document], condition: Document | None = None) -> Iterator[SearchStep]:
        """Messages in any order, read by their ids, newest first. Those without a time have that of their session.

        `condition` selects among them.
        """
        placed = [(listed_instant(row.get("created_at")), _session_of(row), row["_id"]) for row in rows]
        undated = sorted({session for moment, session, _ in placed if moment is None and session is not None})
        newest = self._times.newest_of(undated, exact=True) if undated else {}
        placed = [(moment or newest.get(session or ""), session, stored_id) for moment, session, stored_id in placed]
        placed.sort(key=lambda each: each[0] or EARLIEST, reverse=True)
        for batch in batches(placed):
            wanted = {"_id": {"$in": [each[2] for each in batch]}, **(condition or {})}
            read = {repr(row["_id"]): row for row in self._messages.find(wanted)}
            for moment, _, stored_id in batch:
                row = read.get(repr(stored_id))
                yield from in_steps(moment, _candidates([] if row is None else [row]), moment)
            yield SearchStep(batch[-1][0])

    def _is_new(self, row: Document) -> bool:
        """Whether a message was not found before. If its time is a list, it is in several windows."""
        if not isinstance(row.get("created_at"), list):
            return True
        key = repr(row["_id"])
        is_new = key not in self._with_lists
        self._with_lists.add(key)
        return is_new


def _with_text(message: Document) -> Document:
    """The schema of a message for one that has its content in `text`."""
    fields = message["properties"]
    return {**message, "properties": {**fields, "text": fields["content"]}}


def _may_match(text: TextFilter) -> Document:
    """The condition that every message with a hit meets."""
    if not text.patterns:
        return {}
    elsewhere = [each for each in other_messages(None)["$or"] if each != _NO_TEXT]
    # The pattern `^` matches in every text that is UTF-8, and no pattern in another one.
    unknown: list[Document] = [{"text": {"$not": {"$regex": "^"}}}, {"text": {"$type": "array"}}]
    return {"$or": [{"$and": _in_text(text)}, *unknown, *elsewhere]}


def _in_text(text: TextFilter) -> list[Document]:
    return [{"text": {"$regex": each, "$options": "is"}} for each in text.patterns]


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
