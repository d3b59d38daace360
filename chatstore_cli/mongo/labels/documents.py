"""Labels as documents: `{_id: {layout, session_id}, title, tags}` (docs/layouts.md), and their index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatstore_cli.domain.foreign import OwnKind
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.domain.labels import Labels, SessionRef
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.own_documents import HasType, OwnDocuments, all_of, has_any

OWN_LABELS = OwnDocuments(
    OwnKind("a label", "labels", "sessions"), all_of(HasType("_id", "object", (dict,)), has_any("title", "tags"))
)


def label_index_spec(collection: str) -> IndexSpec:
    """The index that finds the sessions with a tag."""
    return IndexSpec(collection, "label_tags_idx", (("tags", 1), ("_id", 1)), why="finds the sessions with a tag")


def label_id(session: SessionRef) -> Document:
    """The `_id` of a session's labels. The order of its fields counts."""
    return {"layout": session.layout, "session_id": session.session_id}


def session_of(document: Mapping[str, Any]) -> SessionRef | None:
    """The session of a document; None if the document is not a label."""
    identity = document.get("_id")
    if not isinstance(identity, Mapping) or list(identity) != ["layout", "session_id"]:
        return None
    layout, session_id = identity.values()
    return SessionRef(layout, session_id) if type(layout) is str and type(session_id) is str else None


def to_labels(document: Mapping[str, Any] | None) -> Labels:
    """The labels of a document. A value of a wrong type counts as missing."""
    document = document or {}
    title, tags = document.get("title"), document.get("tags")
    texts = sorted({str(tag) for tag in tags if isinstance(tag, str)}) if isinstance(tags, list) else []
    return Labels(str(title) if isinstance(title, str) and title else None, tuple(texts))
