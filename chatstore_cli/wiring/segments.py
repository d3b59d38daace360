"""Large documents of the database that the settings name, as ports."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.domain.workflow.segments import DocumentSizes, SegmentStore
    from chatstore_cli.wiring.stores import Stores


def segment_store(stores: Stores, warn: Callable[[str], None] = lambda _: None) -> SegmentStore:
    """What moves messages out of documents. `warn` is called once if an index is missing that is not created here."""
    from chatstore_cli.mongo.workflow.segment_mover import MongoSegmentStore

    return MongoSegmentStore(stores.connection, stores.settings, warn)


def document_sizes(stores: Stores) -> DocumentSizes:
    """What finds large documents; on a large collection that may take as long as reading it does."""
    from chatstore_cli.mongo.workflow.document_sizes import MongoDocumentSizes

    return MongoDocumentSizes(stores.patient_connection, stores.settings)
