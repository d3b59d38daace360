"""The turns of several sessions in one order."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from chatstore_cli.core.mixed_transcript.sources import OpenSource, Readers, open_sources
from chatstore_cli.domain.mixed_transcript import MixedTurn, TranscriptSource

_BEGINNING = datetime.min.replace(tzinfo=UTC)


def mixed_transcript(
    readers: Readers, sources: Iterable[TranscriptSource], *, tenant_id: str | None = None, user_id: str | None = None
) -> Iterator[MixedTurn]:
    """All turns of these sessions, merged while they are read. Raises what `open_sources` raises, before the first turn."""
    return merged(open_sources(readers, sources, tenant_id=tenant_id, user_id=user_id))


def merged(sources: Iterable[OpenSource]) -> Iterator[MixedTurn]:
    """The turns of the sources. Each source keeps its own order, and of their next turns the earliest comes first.

    At equal times the order of (layout, session id) decides, so that the transcript does not depend on the order in
    which sessions are named. A turn without a time follows its predecessor in the same session.
    """
    ordered = sorted(sources, key=lambda each: each.source)
    # heapq.merge takes the smallest of the next turns, and of equal ones that of the source that is named first. It does
    # not require that the times of a source ascend.
    return heapq.merge(*(each.turns() for each in ordered), key=_time)


def _time(turn: MixedTurn) -> datetime:
    """The time of a turn. A turn without a time comes before the next turns of other sources, right after its predecessor."""
    return turn.message.created_at or _BEGINNING
