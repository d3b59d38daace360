"""The messages of one session that a client does not have, as dictionaries with the platform's names."""

from __future__ import annotations

from typing import Any

from chatstore_cli.core.mixed_transcript.sources import Readers, open_sources
from chatstore_cli.domain.errors import NotFound, PositionAhead
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.mixed_transcript import ClientPosition, TranscriptSource


def event_diff(readers: Readers, source: TranscriptSource, tenant_id: str, last_sequence: int) -> list[dict[str, Any]]:
    """The messages after a sequence, in order. Empty for a session of another tenant, and for a client that is ahead."""
    positions = {source: ClientPosition(sequence=last_sequence)}
    try:
        (opened,) = open_sources(readers, [source], tenant_id=tenant_id, positions=positions)
    except (NotFound, PositionAhead):
        return []
    return [_event(turn.message) for turn in opened.turns()]


def _event(message: Message) -> dict[str, Any]:
    return {
        "role": message.role,
        "content": message.content,
        "timestamp": message.created_at,
        "event_type": message.event_type,
        "event_id": message.message_id,
        "sequence": message.sequence,
        "agent_name": message.name,
        "source": message.source,
        "metadata": message.metadata,
    }
