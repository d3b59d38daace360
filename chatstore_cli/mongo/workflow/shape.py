"""The shape of the workflow layout's documents, in every variant (docs/layouts.md)."""

from __future__ import annotations

from chatstore_cli.mongo.session_documents.counter_places import TrackedCounters
from chatstore_cli.mongo.session_documents.counters import COUNTER_FIELDS, IN_LEDGER, counters_of
from chatstore_cli.mongo.session_documents.shape import DocumentShape
from chatstore_cli.mongo.workflow.own_sessions import OWN_SEGMENTS, OWN_SESSIONS

LAYOUT = "workflow"

WORKFLOW = DocumentShape(
    layout=LAYOUT,
    own_sessions=OWN_SESSIONS,
    own_segments=OWN_SEGMENTS,
    sessions_of=lambda settings: settings.sessions_collection,
    segments_of=lambda settings: settings.layouts.workflow.segments,
    updated_fields=("updated_at", "last_updated_at", "last_updated", "last_activity"),
    title_fields=("title",),
    counter_fields=COUNTER_FIELDS,
    counters=counters_of,
    in_ledger_field=f"real_time_tracking.{IN_LEDGER}",
    counter_place=TrackedCounters(),
)
