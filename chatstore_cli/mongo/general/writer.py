"""General chats in MongoDB: one document each, and segments that may hold their oldest messages.

A document of another variant keeps its fields: with a message it gets `last_sequence` and `last_updated_at`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import Any

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.general.ids import highest_number
from chatstore_cli.domain.general import (
    AppendedMessage,
    GeneralChat,
    GeneralChatState,
    GeneralMessage,
    TranscriptPart,
)
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.segments import DocumentFull
from chatstore_cli.domain.times import to_milliseconds
from chatstore_cli.mongo.bson_values import whole_number
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.general.new_documents import (
    CHAT_FIELDS,
    chat_of,
    message_document,
    new_document,
    plain_message,
)
from chatstore_cli.mongo.general.shape import GENERAL, LAYOUT
from chatstore_cli.mongo.identifiers import id_condition, id_values
from chatstore_cli.mongo.session_documents.encoding import encoded_message
from chatstore_cli.mongo.session_documents.heads import Head
from chatstore_cli.mongo.session_documents.shape import TENANT_FIELDS
from chatstore_cli.mongo.session_documents.writing import DocumentWriter
from chatstore_cli.mongo.tombstones import TOMBSTONES, deleted_in_range, deleted_sessions

_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LAYOUTS_OF_CHATS = (LAYOUT, "workflow")
"""The layouts in which general chats may have been deleted: also `workflow`, whose collection may be GeneralChatSessions."""
_OWNER_FIELDS = (*TENANT_FIELDS, "user_id")


class MongoGeneralWriter:
    """The GeneralChatStore of one database. Everything is read from the primary."""

    def __init__(
        self, connection: Connection, settings: Settings, warn: Callable[[str], None] = lambda _: None
    ) -> None:
        """`warn` is called once if the collection has a collation."""
        self._documents = documents = DocumentWriter(
            GENERAL, connection, settings, warn, facts=CHAT_FIELDS, guarded=_OWNER_FIELDS
        )
        self._collection = collection = documents.collection
        self._sessions, self._segments, self._name = collection.sessions, collection.segments, documents.name

    # --- writing ------------------------------------------------------------------------------------------------------

    def create(self, chat: GeneralChat) -> bool:
        with driver_errors(f"looking up session {chat.chat_id!r} in {TOMBSTONES}"):
            # A workflow session has such an id only if it is a general chat: see _LAYOUTS_OF_CHATS.
            if any(deleted_sessions(self._documents.connection, each, [chat.chat_id]) for each in _LAYOUTS_OF_CHATS):
                return False
        return self._documents.create(chat.chat_id, new_document(chat), "_id")

    def highest_deleted(self, tenant: str, user: str) -> int:
        with driver_errors(f"looking up deleted chats of user {user!r} in {TOMBSTONES}"):
            return max(
                highest_number(tenant, user, partial(deleted_in_range, self._documents.connection, layout))
                for layout in _LAYOUTS_OF_CHATS
            )

    def append(
        self, state: GeneralChatState, message: GeneralMessage, now: datetime
    ) -> AppendedMessage | DocumentFull | None:
        head: Head = state.guard
        now, sequence = to_milliseconds(now), head.next_sequence()
        document = message_document(message, sequence, now)
        encoded = encoded_message(document, head.session_id)
        if self._documents.is_in_segments(head, message.event_id):
            return None
        appended = self._documents.append(head, encoded, message.event_id, now)
        if isinstance(appended, DocumentFull):
            return appended
        if not appended:
            return None
        chat = replace(state.chat, last_sequence=sequence, updated_at=now)
        return AppendedMessage(document, GeneralChatState(chat, head.after(sequence)), len(encoded.raw))

    # --- reading ------------------------------------------------------------------------------------------------------

    def find(self, chat_id: str) -> GeneralChatState | None:
        facts = self._documents.facts(chat_id)
        if facts is None:
            return None
        head = self._documents.head(facts)
        # A document whose `_id` reads like this id, but which has another chat_id, is another chat.
        return GeneralChatState(chat_of(facts, head.last_sequence), head) if head.session_id == chat_id else None

    def is_deleted(self, chat_id: str) -> bool:
        return self._documents.is_deleted(chat_id)

    def stored_message(self, state: GeneralChatState, event_id: str) -> dict[str, Any] | None:
        head: Head = state.guard
        is_event = {"$in": id_values(event_id)}
        element = {"messages": {"$elemMatch": {"event_id": is_event}}}
        with driver_errors(f"looking up an event of session {head.session_id!r} in {self._name}"):
            row = self._sessions.find_one({"_id": head.document_id, "messages.event_id": is_event}, element)
            if row is None and head.last_segment:
                row = self._segments.find_one(self._documents.in_segments(head, event_id), element)
        return None if row is None else plain_message(row["messages"][0])

    def newest(self, tenant: str, user: str, limit: int) -> list[GeneralChat]:
        with driver_errors(f"listing the chats of user {user!r} in {self._name}"):
            rows = [row for field in TENANT_FIELDS for row in self._newest_by(field, tenant, user, limit)]
        chats = {chat.chat_id: chat for chat in map(chat_of, rows) if (chat.tenant_id, chat.user_id) == (tenant, user)}
        order = sorted(chats.values(), key=lambda chat: (chat.created_at or _EARLIEST, chat.chat_id), reverse=True)
        return order[:limit]

    def _newest_by(self, field: str, tenant: str, user: str, limit: int) -> list[Document]:
        """The newest chats by one tenant field, read in the order of its index, which does not contain the `_id`."""
        match: Document = {field: id_condition(tenant), "user_id": id_condition(user), **GENERAL.own_sessions.filter()}
        fields = dict.fromkeys((*GENERAL.fact_fields, *CHAT_FIELDS), 1)
        rows = list(self._sessions.find(match, fields).sort("created_at", -1).limit(limit))
        if len(rows) < limit:
            return rows
        # Of the chats with the last time there may be more, and the ids decide which of them are in the list.
        as_old_as_the_last = {**match, "created_at": rows[-1].get("created_at")}
        return [*rows, *self._sessions.find(as_old_as_the_last, fields).sort("_id", -1).limit(limit)]

    def messages(self, state: GeneralChatState, part: TranscriptPart) -> Iterator[dict[str, Any]]:
        head: Head = state.guard
        selection = MessageSelection(
            last=part.limit if part.newest else None,
            # 0 is the beginning: messages without a number that come first are after it too.
            after_sequence=part.after_sequence or None,
        )
        with driver_errors(f"reading session {head.session_id!r} in {self._name}"):
            runs = self._collection.reader.elements(head.session_id, head.document_id, selection)
            elements = chain.from_iterable(runs)
            chosen = elements if part.newest or part.limit is None else _oldest(elements, part.limit)
            yield from map(plain_message, chosen)


def _oldest(elements: Iterator[Any], limit: int) -> Iterator[Any]:
    """The first elements: `limit` of them, and those that follow with the sequence of the last one, or without one."""
    last: int | None = None
    for count, element in enumerate(elements):
        sequence = whole_number(element.get("sequence")) if isinstance(element, dict) else None
        if count >= limit and last is not None and sequence not in (None, last):
            return
        last = last if sequence is None else sequence
        yield element
