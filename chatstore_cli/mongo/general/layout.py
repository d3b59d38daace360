"""The `general` layout: the numbered chats of a general assistant, one document per chat with its messages inside.

A session's title is the chat's label ("General Chat #3"). A general chat has no workflow.
"""

from __future__ import annotations

from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.mongo.general.index_specs import index_specs
from chatstore_cli.mongo.general.shape import GENERAL
from chatstore_cli.mongo.session_documents.layout import DocumentLayout
from chatstore_cli.mongo.session_documents.segment_index import segment_index_specs


class GeneralLayout(DocumentLayout):
    """Reads the chats of a general assistant."""

    shape = GENERAL

    def index_specs(self) -> tuple[IndexSpec, ...]:
        """The indexes that the layout needs."""
        return (*index_specs(self._name), *segment_index_specs(self._segments.name))

    def unanswerable(self, query: SessionQuery) -> list[str]:
        """The filters for which general chats have no field: only `workflow`."""
        return [] if query.workflow is None else ["workflow"]
