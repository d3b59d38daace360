"""Compares everything that a multi-agent platform stores of an owner with the model."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from chatstore_cli.domain.mixed_transcript import ClientPosition, MixedTurn, TranscriptSource
from chatstore_cli.domain.session import Session
from tests.support.multi_agent_model import ACTIVE, Client, Owner, SessionModel, merged
from tests.support.multi_agent_platform import Platform
from tests.support.transcript_sources import turns_of

Sessions = dict[TranscriptSource, SessionModel]
Stored = dict[TranscriptSource, Session]


def check_owner(platform: Platform, owner: Owner, clients: Sequence[Client]) -> None:
    """Compare sessions, numbers, usage, client sessions, and what a new client and these get that connect again."""
    sessions = platform.model.of(owner)
    stored = platform.stored_sessions(owner)
    _check_sessions(platform, owner, sessions, stored)
    if platform.counts_usage:
        _check_usage(platform, owner, sessions, stored)
    _check_client_sessions(platform, owner)
    if sessions:
        _check_replays(platform, owner, sessions, clients)


def positions_of(client: Client) -> dict[TranscriptSource, ClientPosition]:
    """What a client reports. The sequences of a session have no gap, so both positions are a count."""
    if client.by_index:
        return {source: ClientPosition(index=number - 1) for source, number in client.received.items()}
    return {source: ClientPosition(sequence=number) for source, number in client.received.items()}


def _check_sessions(platform: Platform, owner: Owner, sessions: Sessions, stored: Stored) -> None:
    counts = {source: len(session.contents) for source, session in sessions.items()}
    assert {source: session.message_count for source, session in stored.items()} == counts
    numbers = {session.number: counts[source] for source, session in sessions.items() if session.number}
    listed = platform.processes[0].manager.list_general_chats(**owner._asdict())
    assert {each["sequence"]: each["last_sequence"] for each in listed} == numbers
    assert len(listed) == len(numbers)


def _check_usage(platform: Platform, owner: Owner, sessions: Sessions, stored: Stored) -> None:
    used = {source: session.usage for source, session in sessions.items() if any(session.usage)}
    assert platform.reported_usage(owner) == used
    for source, session in sessions.items():
        counters = stored[source].usage
        if session.counters_are_current:
            assert (counters.known[:2] if counters else (0, 0)) == session.usage[:2]


def _check_client_sessions(platform: Platform, owner: Owner) -> None:
    entries = platform.processes[0].registry.client_sessions(*owner, limit=50)
    found = {entry.session.session_key: entry for entry in entries}
    states = {key: state for (each, key), state in platform.model.states.items() if each == owner and state.switches}
    assert found.keys() == states.keys()
    for key, state in states.items():
        entry = found[key]
        assert {each.chat_id: each.status for each in entry.workflows} == state.statuses
        assert {each.chat_id: each.artifact_id for each in entry.workflows} == state.artifacts
        assert {(each.app_id, each.user_id) for each in entry.workflows} <= {owner}
        assert entry.general_mode == state.general_mode
        assert entry.version == [is_refused for _, is_refused in state.switches].count(False)
        assert list(state.statuses.values()).count(ACTIVE) <= 1


def _check_replays(platform: Platform, owner: Owner, sessions: Sessions, clients: Sequence[Client]) -> None:
    manager = platform.processes[1].manager
    turns, boundary = turns_of(manager.replay(list(sessions), **owner._asdict()))
    times: dict[TranscriptSource, list[datetime]] = {source: [] for source in sessions}
    for turn in turns:
        assert turn.message.created_at is not None
        times[turn.source].append(turn.message.created_at)
    assert [turn.source for turn in turns] == list(merged(times))
    for source, session in sessions.items():
        assert _contents(turns, source) == session.contents
        places = list(range(len(session.contents)))
        assert [turn.index_in_source for turn in turns if turn.source == source] == places
        assert [turn.message.sequence for turn in turns if turn.source == source] == [place + 1 for place in places]
        assert boundary.positions[source].index == len(places) - 1
    for client in clients:
        rest, _ = turns_of(manager.replay(list(sessions), **owner._asdict(), positions=positions_of(client)))
        for source, session in sessions.items():
            assert _contents(rest, source) == session.contents[client.received.get(source, 0) :]


def _contents(turns: list[MixedTurn], source: TranscriptSource) -> list[object]:
    return [turn.message.content for turn in turns if turn.source == source]
