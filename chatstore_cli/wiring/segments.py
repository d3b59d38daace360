"""Large documents of the database that the settings name, as ports."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.domain.workflow.segments import DocumentSizes, SegmentStore
    from chatstore_cli.wiring.stores import Stores


def segment_store(stores: Stores) -> SegmentStore:
    """What moves messages out of documents."""
    from chatstore_cli.mongo.workflow.segment_mover import MongoSegmentStore

    return MongoSegmentStore(stores.connection, stores.settings)


def document_sizes(stores: Stores) -> DocumentSizes:
    """What finds large documents; on a large collection that may take as long as reading it does."""
    from chatstore_cli.mongo.workflow.document_sizes import MongoDocumentSizes

    return MongoDocumentSizes(stores.patient_connection, stores.settings)
