"""The shape of the documents of general chats, in every variant (docs/layouts.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatstore_cli.domain.usage import UNKNOWN_USAGE, KnownUsage
from chatstore_cli.mongo.general.own_chats import OWN_CHATS, OWN_SEGMENTS
from chatstore_cli.mongo.session_documents.counter_places import FinalCounters
from chatstore_cli.mongo.session_documents.counters import COUNTER_FIELDS, counters_of
from chatstore_cli.mongo.session_documents.shape import DocumentShape

LAYOUT = "general"
IN_LEDGER = "usage_in_ledger"


def general_counters(document: Mapping[str, Any], invalid: list[str]) -> KnownUsage:
    """The counters of a general chat. A cost of 0 beside tokens is unknown: the platform stores 0.0 for every turn."""
    usage = counters_of(document, invalid)
    if usage == UNKNOWN_USAGE and document.get(IN_LEDGER) is not None:
        return KnownUsage(0, 0, 0)  # counters of 0 are unknown, unless the usage ledger has reports
    return usage._replace(cost=None) if usage.has_tokens and any(usage[:3]) and not usage.cost else usage


GENERAL = DocumentShape(
    layout=LAYOUT,
    own_sessions=OWN_CHATS,
    own_segments=OWN_SEGMENTS,
    sessions_of=lambda settings: settings.layouts.general.sessions or "",
    segments_of=lambda settings: settings.layouts.general.segments,
    updated_fields=("last_updated_at", "updated_at", "last_updated", "last_activity"),
    title_fields=("general_label", "title"),
    counter_fields=(*COUNTER_FIELDS, IN_LEDGER),
    counters=general_counters,
    in_ledger_field=IN_LEDGER,
    counter_place=FinalCounters(IN_LEDGER),
    id_fields=("_id", "chat_id"),  # both have the id, and the platform has no index on chat_id
    is_general=True,
)
