"""Which documents are sessions and segments of the workflow layout, in every variant (docs/layouts.md)."""

from __future__ import annotations

from chatstore_cli.domain.foreign import OwnKind
from chatstore_cli.mongo.own_documents import Has, HasContentIn, OwnDocuments, all_of, any_of, has_all, has_any

OWN_SESSIONS = OwnDocuments(
    OwnKind("a session", "sessions", "layout workflow"),
    any_of(
        # Its messages are in it. A variant may have no other field.
        HasContentIn("messages"),
        # It has no message yet, or all are in segments. Other products have one of these fields, but not two.
        has_all("chat_id", "messages"),
        all_of(has_any("chat_id", "messages"), has_any("workflow_name", "workflow_status", "real_time_tracking")),
        all_of(Has("messages"), has_any("enterprise_id", "app_id")),
    ),
)
OWN_SEGMENTS = OwnDocuments(OwnKind("a segment", "segments", "layout workflow"), has_all("chat_id", "messages"))
