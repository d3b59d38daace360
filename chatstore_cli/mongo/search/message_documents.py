"""Searches sessions whose messages are documents of another collection: the server selects them session by session."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from pymongo.collection import Collection

from chatstore_cli.core.search.session_walk import Page
from chatstore_cli.core.search.walking import session_steps
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.search.models import SearchQuery, SearchStep, TextFilter
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.mongo.connection import Document, driver_errors
from chatstore_cli.mongo.identifiers import addressable_id, id_values
from chatstore_cli.mongo.search.batches import MILLISECONDS, Batches, chunk_of

_AT_ONCE = 500


class _Selected(NamedTuple):
    """A session with candidates, and their size in bytes."""

    session: Session
    size: int


class MessageDocumentSearcher:
    """The searcher of such a layout. `field` of a message has the id of its session."""

    def __init__(
        self,
        reader: SessionReader,
        messages: Collection[Document],
        to_message: Callable[[str, Document], Message],
        conditions: Callable[[TextFilter], list[Document]],
        *,
        field: str = "session_id",
        page: Page[Session] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`conditions` are those that every message with a hit meets. `page` lists sessions; by default the reader does."""
        self.reader = reader
        self._messages = messages
        self._to_message = to_message
        self._conditions = conditions
        self._field = field
        self._page: Page[Session] = page or reader.newest_first
        self._batches = Batches(clock)

    def steps(self, query: SearchQuery, text: TextFilter) -> Iterator[SearchStep]:
        """A step or several for each session with candidates, and one for each page of sessions."""
        wanted = self._conditions(text)
        return session_steps(
            query,
            page=self._page,
            find=self.reader.find,
            session_of=lambda session: session,
            read=lambda sessions: self._read(sessions, wanted),
        )

    def _read(self, sessions: Sequence[Session], wanted: list[Document]) -> Iterator[tuple[Session, list[Message]]]:
        for _, selected in self._batches.of(sessions, lambda batch: self._selected(batch, wanted)):
            while selected:
                chunk, selected = chunk_of(selected)
                if len(chunk) == 1:  # it can have any number of messages
                    messages = (message for _, message in self._candidates(chunk, wanted))
                    while some := list(islice(messages, _AT_ONCE)):
                        yield chunk[0].session, some
                    continue
                by_session: dict[str, list[Message]] = {}
                for session_id, message in self._candidates(chunk, wanted):
                    by_session.setdefault(session_id, []).append(message)
                for session, _ in chunk:
                    yield session, by_session.get(session.session_id, [])

    def _selected(self, batch: Sequence[Session], wanted: list[Document]) -> list[_Selected]:
        """The sessions of a batch that have candidates, in its order."""
        stages: list[Document] = [
            *self._stages(batch, wanted),
            {"$group": {"_id": f"${self._field}", "size": {"$sum": {"$bsonSize": "$$ROOT"}}}},
        ]
        sizes: dict[str | None, int] = {}
        with driver_errors(f"searching the messages of {self._messages.name}"):
            for row in self._messages.aggregate(stages, maxTimeMS=MILLISECONDS):
                session_id = addressable_id(row["_id"])
                sizes[session_id] = sizes.get(session_id, 0) + row["size"]
        return [_Selected(each, sizes[each.session_id]) for each in batch if each.session_id in sizes]

    def _candidates(self, chunk: Sequence[_Selected], wanted: list[Document]) -> Iterator[tuple[str, Message]]:
        sessions = [each.session for each in chunk]
        with driver_errors(f"searching the messages of {self._messages.name}"):
            cursor = self._messages.aggregate(self._stages(sessions, wanted), batchSize=_AT_ONCE)
            for row in cursor:
                session_id = addressable_id(row[self._field]) or ""
                yield session_id, self._to_message(session_id, row)

    def _stages(self, sessions: Sequence[Session], wanted: list[Document]) -> list[Document]:
        values: list[Any] = [value for each in sessions for value in id_values(each.session_id)]
        # An array of ids meets the condition too, and belongs to no session.
        condition = {self._field: {"$in": values, "$not": {"$type": "array"}}}
        return [{"$match": condition}, {"$match": {"$and": wanted}}]
