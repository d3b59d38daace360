"""The turns of several sessions in one order."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from operator import itemgetter

from chatstore_cli.core.mixed_transcript.sources import OpenSource, Readers, open_sources
from chatstore_cli.domain.mixed_transcript import MixedTurn, Source

_BEGINNING = datetime.min.replace(tzinfo=UTC)


def mixed_transcript(
    readers: Readers, sources: Iterable[Source], *, tenant_id: str | None = None, user_id: str | None = None
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
    for _, turn in heapq.merge(*(_timed(each.turns()) for each in ordered), key=itemgetter(0)):
        yield turn


def _timed(turns: Iterable[MixedTurn]) -> Iterator[tuple[datetime, MixedTurn]]:
    """Each turn with its time, or that of its predecessor. A first turn without a time comes before all others."""
    instant = _BEGINNING
    for turn in turns:
        instant = turn.message.created_at or instant
        yield instant, turn
