"""The `workflow` layout: one document per session with its messages inside, in every variant that products stored."""

from __future__ import annotations

from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.mongo.session_documents.layout import DocumentLayout
from chatstore_cli.mongo.session_documents.segment_index import segment_index_specs
from chatstore_cli.mongo.workflow.index_specs import index_specs
from chatstore_cli.mongo.workflow.shape import WORKFLOW


class WorkflowLayout(DocumentLayout):
    """Reads the sessions of agent workflows."""

    shape = WORKFLOW

    def index_specs(self) -> tuple[IndexSpec, ...]:
        """The indexes that the layout needs."""
        return (*index_specs(self._name), *segment_index_specs(self._segments.name))
