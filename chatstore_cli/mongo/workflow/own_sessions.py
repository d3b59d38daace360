"""Which documents are sessions and segments of the workflow layout, in every variant (docs/layouts.md)."""

from __future__ import annotations

from chatstore_cli.domain.foreign import OwnKind
from chatstore_cli.mongo.own_documents import Has, HasContentIn, OwnDocuments, all_of, any_of, has_any
from chatstore_cli.mongo.session_documents.shape import TENANT_FIELDS

OWN_SESSIONS = OwnDocuments(
    OwnKind("a session", "sessions", "layout workflow"),
    any_of(
        HasContentIn("messages"),
        # No message is in it: none was stored yet, or all moved into segments. `chat_id` alone is not enough, because each
        # message of another product may have it.
        all_of(Has("messages"), has_any("chat_id", *TENANT_FIELDS)),
        has_any("workflow_name", "workflow_status", "real_time_tracking", "usage_summary"),
        all_of(has_any(*TENANT_FIELDS), Has("status")),
    ),
)
OWN_SEGMENTS = OwnDocuments(OwnKind("a segment", "segments", "layout workflow"), Has("messages"))
