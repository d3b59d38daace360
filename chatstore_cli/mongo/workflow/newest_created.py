"""Lists the sessions of one tenant's workflow in the order in which they were created, the newest first."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import datetime
from itertools import islice, product

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.domain.workflow.chats import CreatedChat
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.indexed_types import EARLIEST
from chatstore_cli.mongo.session_documents.collection import SessionCollection
from chatstore_cli.mongo.session_documents.listing import branches, can_match
from chatstore_cli.mongo.workflow.shape import WORKFLOW

_REQUEST_ID = "client_request_id"


class MongoCreatedChats:
    """A CreatedChats of the workflow layout, in every variant. It reads in the order of an index on `created_at`."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self._collection = SessionCollection(WORKFLOW, connection, settings)
        self._facts = dict.fromkeys((*WORKFLOW.fact_fields, _REQUEST_ID), 1)

    def newest(self, query: SessionQuery, limit: int) -> list[CreatedChat]:
        """The sessions that match, the one created last first, at most `limit`."""
        if not can_match(self._collection, query):
            return []
        with driver_errors(f"listing the newest sessions of {self._collection.name}"):
            found = heapq.merge(
                *(self._newest(each, limit) for each in product(*branches(query))), key=_created, reverse=True
            )
            addressable = (each for each in found if each.session.session_id and query.matches(each.session))
            return list(islice(addressable, limit))

    def _newest(self, conditions: tuple[Document, ...], at_once: int) -> Iterator[CreatedChat]:
        """The sessions that may match, `at_once` of them at a time, as far as they are needed."""
        own, sessions = WORKFLOW.own_sessions, self._collection.sessions
        if self._collection.in_memory:
            rows = filter(own.matches, sessions.find({"$and": [*conditions]}))
            yield from sorted(map(self._chat, rows), key=_created, reverse=True)
            return
        match = {"$and": [*conditions, own.filter()]}
        for row in sessions.find(match, self._facts).sort("created_at", -1).batch_size(at_once):
            yield self._chat(row)

    def _chat(self, row: Document) -> CreatedChat:
        request_id = row.get(_REQUEST_ID)
        return CreatedChat(self._collection.to_session(row), request_id if isinstance(request_id, str) else None)


def _created(chat: CreatedChat) -> datetime:
    return chat.session.created_at or EARLIEST
