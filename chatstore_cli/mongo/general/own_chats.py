"""The conditions that general chats, their segments and their counters meet, in every variant (docs/layouts.md)."""

from __future__ import annotations

from chatstore_cli.domain.foreign import OwnKind
from chatstore_cli.mongo.own_documents import Has, OwnDocuments, all_of, has_any
from chatstore_cli.mongo.session_documents.shape import TENANT_FIELDS

OWN_CHATS = OwnDocuments(
    OwnKind("a general chat", "general chats", "layout general"),
    all_of(Has("messages"), has_any("general_sequence", "general_label", "session_type", *TENANT_FIELDS)),
)
OWN_SEGMENTS = OwnDocuments(OwnKind("a segment", "segments", "layout general"), Has("messages"))
OWN_COUNTERS = OwnDocuments(
    OwnKind("a counter", "counters", "layout general"), all_of(Has("user_id"), has_any(*TENANT_FIELDS))
)
