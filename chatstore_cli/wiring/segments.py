"""Ports for large documents of the database that the settings name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.domain.segments import DocumentSizes, SegmentStore
    from chatstore_cli.wiring.stores import Stores


def segment_store(
    stores: Stores, warn: Callable[[str], None] = lambda _: None, layout: str = "workflow"
) -> SegmentStore:
    """The store that moves messages into segments of a layout.

    `warn` is called once if it needs an index that it does not create.
    """
    from chatstore_cli.mongo.general.shape import GENERAL
    from chatstore_cli.mongo.session_documents.segment_mover import MongoSegmentStore
    from chatstore_cli.mongo.workflow.shape import WORKFLOW

    shapes = {shape.layout: shape for shape in (WORKFLOW, GENERAL)}
    return MongoSegmentStore(shapes[layout], stores.connection, stores.settings, warn)


def document_sizes(stores: Stores) -> DocumentSizes:
    """The finder of large documents. It may take as long as reading the whole collection."""
    from chatstore_cli.mongo.session_documents.document_sizes import MongoDocumentSizes
    from chatstore_cli.mongo.workflow.shape import WORKFLOW

    return MongoDocumentSizes(WORKFLOW, stores.patient_connection, stores.settings)
