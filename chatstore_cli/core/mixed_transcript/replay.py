"""A replay: the turns that a client does not have, each once, and the boundary after the last one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from chatstore_cli.core.mixed_transcript.merge import merged
from chatstore_cli.core.mixed_transcript.sources import OpenSource, Readers, open_sources
from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.mixed_transcript import (
    WORKFLOW_LAYOUT,
    ClientPosition,
    MixedTurn,
    ReplayBoundary,
    ReplayedSource,
    ReplayMode,
    TranscriptSource,
)
from chatstore_cli.domain.times import Clock


def replay(
    readers: Readers,
    sources: Iterable[TranscriptSource],
    *,
    clock: Clock,
    positions: Mapping[TranscriptSource, ClientPosition] | None = None,
    chat: TranscriptSource | None = None,
    tenant_id: str | None = None,
    user_id: str | None = None,
) -> Iterator[MixedTurn | ReplayBoundary]:
    """The merged turns after the client's positions, and then one boundary.

    Without `positions` a new connection is replayed from the beginning. `chat` is the source that the boundary's fields
    for a single chat describe; by default it is the first workflow session, or else the first session. A turn that is
    stored meanwhile is either returned, and then the boundary's positions include it, or left for the next replay. Nothing
    is written. Before the first turn, raises the errors of `open_sources`, and BadValue if there are no sources.
    """
    named = list(sources)
    if not named:
        raise BadValue(name="sources", value="none", expected="at least one session")
    opened = open_sources(readers, named, tenant_id=tenant_id, user_id=user_id, positions=positions)
    chosen = _chat(named, chat)
    reported = (positions or {}).get(named[chosen])
    mode = ReplayMode.AUTO if positions is None else ReplayMode.CLIENT
    return _records(opened, chosen, mode, None if reported is None else reported.index, clock)


def _records(
    opened: Sequence[OpenSource], chosen: int, mode: ReplayMode, last_client_index: int | None, clock: Clock
) -> Iterator[MixedTurn | ReplayBoundary]:
    yield from merged(opened)
    states = tuple(map(_state, opened))
    yield ReplayBoundary(states[chosen], states, mode, clock(), last_client_index)


def _chat(named: Sequence[TranscriptSource], chat: TranscriptSource | None) -> int:
    """The place of the chat that the boundary describes."""
    if chat is None:
        return next((place for place, source in enumerate(named) if source.layout == WORKFLOW_LAYOUT), 0)
    if chat not in named:
        raise BadValue(name="chat", value=str(chat), expected="a session of the transcript")
    return named.index(chat)


def _state(opened: OpenSource) -> ReplayedSource:
    position, session = opened.position, opened.session
    return ReplayedSource(
        source=opened.source,
        position=position,
        replayed=opened.replayed,
        message_count=session.message_count if position.index is None else position.index + 1,
        status=session.status.value,
        start=opened.start,
        last_speaker=opened.last_speaker,
    )
