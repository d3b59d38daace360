"""The `general` layout: the numbered chats of a general assistant, one document per chat with its messages inside.

A session's title is the chat's label ("General Chat #3"). A general chat has no workflow.
"""

from __future__ import annotations

from datetime import datetime

from chatstore_cli.core.general.ids import highest_number
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.domain.removal import SessionState, StoredPart
from chatstore_cli.mongo.general.counters import CHAT_NUMBER, number_of
from chatstore_cli.mongo.general.index_specs import counter_index_specs, index_specs
from chatstore_cli.mongo.general.numbers import ChatNumbers
from chatstore_cli.mongo.general.shape import GENERAL
from chatstore_cli.mongo.session_documents.layout import DocumentLayout
from chatstore_cli.mongo.session_documents.segment_index import segment_index_specs


class GeneralLayout(DocumentLayout):
    """Reads the chats of a general assistant."""

    shape = GENERAL

    def index_specs(self) -> tuple[IndexSpec, ...]:
        """The indexes that the layout needs."""
        counters = counter_index_specs(self._settings.layouts.general.counters)
        return (*index_specs(self._name), *segment_index_specs(self._segments.name), *counters)

    def unanswerable(self, query: SessionQuery) -> list[str]:
        """The filters for which general chats have no field: only `workflow`."""
        return [] if query.workflow is None else ["workflow"]

    def remove(
        self,
        session_id: str,
        deleted_at: datetime,
        *,
        keep_usage: bool = False,
        expected: SessionState | None = None,
    ) -> list[StoredPart]:
        """Delete a chat like any other session. Before that, raise the counter, so that no other chat gets its number."""
        self._count_number_of(session_id)
        return super().remove(session_id, deleted_at, keep_usage=keep_usage, expected=expected)

    def _count_number_of(self, session_id: str) -> None:
        document = self._collection.locate(session_id, {**dict.fromkeys(self.shape.fact_fields, 1), CHAT_NUMBER: 1})
        if document is None:
            return
        chat = self._collection.to_session(document)
        if chat.tenant_id is None or chat.user_id is None:
            return  # such a chat has no counter
        in_id = highest_number(
            chat.tenant_id,
            chat.user_id,
            lambda first, end: [chat.session_id] if first <= chat.session_id < end else [],
        )
        number = max(number_of(document.get(CHAT_NUMBER)), in_id)
        if number:
            ChatNumbers(self._connection, self._settings).raise_to(chat.tenant_id, chat.user_id, number)
