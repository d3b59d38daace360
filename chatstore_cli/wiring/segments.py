"""Ports for large documents of the database that the settings name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from chatstore_cli.domain.errors import BadValue
from chatstore_cli.wiring.layout_errors import unusable_layout

if TYPE_CHECKING:
    from chatstore_cli.domain.segments import DocumentSizes, SegmentStore
    from chatstore_cli.mongo.session_documents.shape import DocumentShape
    from chatstore_cli.wiring.stores import Stores


def document_layouts(stores: Stores, layout: str | None = None) -> list[str]:
    """The layouts in which a document grows with its session, or only the named one. Raises BadValue, NotFound."""
    layouts = list(_shapes(stores))
    if layout is not None and layout not in layouts:
        from chatstore_cli.mongo.layouts.registry import LAYOUTS

        if layout not in LAYOUTS:
            raise unusable_layout(layout, layouts)
        expected = f"a layout whose documents grow with their sessions: {', '.join(layouts)}"
        raise BadValue(name="--layout", value=layout, expected=expected)
    return layouts if layout is None else [layout]


def segment_store(
    stores: Stores, warn: Callable[[str], None] = lambda _: None, layout: str = "workflow"
) -> SegmentStore:
    """The store that moves messages into segments. `warn` is called once if it needs an index that it does not create."""
    from chatstore_cli.mongo.session_documents.segment_mover import MongoSegmentStore

    return MongoSegmentStore(_shapes(stores)[layout], stores.connection, stores.settings, warn)


def document_sizes(stores: Stores, layout: str) -> DocumentSizes:
    """The finder of a layout's large documents. It may take as long as reading the whole collection."""
    from chatstore_cli.mongo.session_documents.document_sizes import MongoDocumentSizes

    return MongoDocumentSizes(_shapes(stores)[layout], stores.patient_connection, stores.settings)


def _shapes(stores: Stores) -> dict[str, DocumentShape]:
    """The shapes of the layouts that the database has."""
    from chatstore_cli.mongo.general.shape import GENERAL
    from chatstore_cli.mongo.layouts.registry import used_layouts
    from chatstore_cli.mongo.workflow.shape import WORKFLOW

    used = used_layouts(stores.settings)
    return {shape.layout: shape for shape in (WORKFLOW, GENERAL) if shape.layout in used}
