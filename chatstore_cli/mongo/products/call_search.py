"""Searches the transcripts of calls: the server selects those that can have a hit, and these are read as a whole.

Several stored items can become one message, so no item is left out of a transcript.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from pymongo.collection import Collection

from chatstore_cli.core.search.walking import session_steps
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.queries import SessionKey, SessionQuery
from chatstore_cli.domain.search.models import SearchQuery, SearchStep, TextFilter
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.mongo.connection import Document, driver_errors
from chatstore_cli.mongo.exact import own_collation
from chatstore_cli.mongo.identifiers import addressable_id, id_values
from chatstore_cli.mongo.products.call_documents import OWN_CALLS, to_messages
from chatstore_cli.mongo.search.batches import MILLISECONDS, Batches, chunk_of
from chatstore_cli.mongo.search.text_condition import conditions

_NOT_SEARCHED = ("id", "call_id", "type", "role", "created_at", "metrics", "interrupted", "is_error")
"""The fields of an item that are not part of a message's text."""


def _in_history(item: Document) -> Document:
    """The schema of a transcript: `chatHistory` is a list, or an object with the list `items`."""
    return {"properties": {"chatHistory": {"items": item, "properties": {"items": {"items": item}}}}}


class _Selected(NamedTuple):
    """A transcript with candidates."""

    document_id: Any
    session_id: str
    size: int


class CallSearcher:
    """The searcher of the layout."""

    def __init__(
        self, reader: SessionReader, calls: Collection[Document], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.reader = reader
        self._calls = calls
        self._batches = Batches(clock)

    def steps(self, query: SearchQuery, text: TextFilter) -> Iterator[SearchStep]:
        """A step for each call with candidates, and one for each page of calls."""
        wanted = [OWN_CALLS.filter(), *conditions(text, _NOT_SEARCHED, _in_history)]
        return session_steps(
            query,
            page=self._page,
            find=self.reader.find,
            session_of=lambda call: call,
            read=lambda calls: self._read(calls, wanted),
        )

    def _page(self, query: SessionQuery, after: SessionKey | None, limit: int) -> Iterator[Session]:
        return self.reader.newest_first(query, after, limit)

    def _read(self, calls: Sequence[Session], wanted: list[Document]) -> Iterator[tuple[Session, list[Message]]]:
        for batch, selected in self._batches.of(calls, lambda batch: self._selected(batch, wanted)):
            waiting = [selected[each.session_id] for each in batch if each.session_id in selected]
            documents: dict[str, Document] = {}
            for call in batch:
                if call.session_id not in selected:
                    continue
                key = repr(selected[call.session_id].document_id)
                if key not in documents and waiting:
                    chunk, waiting = chunk_of(waiting)
                    documents = self._documents([each.document_id for each in chunk])
                if key in documents:  # otherwise it was deleted meanwhile
                    yield call, to_messages(call.session_id, documents[key])

    def _selected(self, batch: Sequence[Session], wanted: list[Document]) -> dict[str, _Selected]:
        values = [value for call in batch for value in id_values(call.session_id)]
        stages: list[Document] = [
            {"$match": {"sessionId": {"$in": values}}},
            {"$match": {"$and": wanted}},
            {"$project": {"sessionId": 1, "size": {"$bsonSize": "$$ROOT"}}},
        ]
        names = {call.session_id for call in batch}
        selected: dict[str, _Selected] = {}
        with driver_errors(f"searching the calls of {self._calls.name}"):
            for row in self._calls.aggregate(stages, maxTimeMS=MILLISECONDS, **own_collation(self._calls)):
                session_id = addressable_id(row.get("sessionId"))
                if session_id in names:  # a collation takes other ids for equal
                    selected.setdefault(session_id, _Selected(row["_id"], session_id, row["size"]))
        return selected

    def _documents(self, ids: list[Any]) -> dict[str, Document]:
        with driver_errors(f"searching the calls of {self._calls.name}"):
            found = self._calls.find({"_id": {"$in": ids}}, {"chatHistory": 1}, **own_collation(self._calls))
            return {repr(row["_id"]): row for row in found}
