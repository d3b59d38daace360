"""Replays: what a client does not have, each turn once, and a boundary that is never empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from chatstore_cli.core.mixed_transcript.merge import mixed_transcript
from chatstore_cli.core.mixed_transcript.replay import replay
from chatstore_cli.core.mixed_transcript.sources import Readers
from chatstore_cli.domain.errors import BadValue, PositionAhead
from chatstore_cli.domain.mixed_transcript import ClientPosition, MixedTurn, ReplayBoundary, TranscriptSource
from tests.core.mixed_transcript.test_merge import readers, stored
from tests.support.transcript_sources import GENERAL, START, WORKFLOW, SessionsInMemory, at, received, turn, turns_of

BOTH = (WORKFLOW, GENERAL)


def replayed(
    found: Readers, positions: Mapping[TranscriptSource, ClientPosition] | None = None
) -> tuple[list[MixedTurn], ReplayBoundary]:
    return turns_of(replay(found, BOTH, positions=positions, clock=lambda: START))


def contents(turns: list[MixedTurn]) -> list[Any]:
    return [each.message.content for each in turns]


# --- the boundary ----------------------------------------------------------------------------------------------------


def test_the_boundary_has_the_documented_fields():
    found = stored([(1, 1), (2, 4)], [(11, 2)])
    turns, boundary = replayed(found)
    assert contents(turns) == [1, 11, 2]
    assert [each.index_in_source for each in turns] == [0, 0, 1]
    assert boundary.to_dict() == {
        "kind": "resume_boundary",
        "chat_id": "chat-1",
        "message_count": 2,
        "chat_status": "running",
        "replayed_messages": 3,
        "last_message_index": 1,
        "resume_mode": "auto",
        "timestamp": "2026-03-02T11:00:00Z",
        "ag2_resume": {"mode": "auto", "start_index": 0, "last_index": 1, "last_speaker_name": "user"},
        "resume_context": {"reason": "on_connect"},
        "sources": [
            {
                "layout": "workflow",
                "session_id": "chat-1",
                "sequence": 2,
                "index": 1,
                "message_count": 2,
                "status": "running",
                "replayed_messages": 2,
            },
            {
                "layout": "general",
                "session_id": "generalchat-acme-ana-0001",
                "sequence": 1,
                "index": 0,
                "message_count": 1,
                "status": "running",
                "replayed_messages": 1,
            },
        ],
    }


def test_the_boundary_of_a_client_names_what_it_reported():
    boundary = replayed(stored([(1, 1), (2, 4)], []), {WORKFLOW: ClientPosition(index=0)})[1].to_dict()
    assert boundary["resume_mode"] == "client"
    assert boundary["ag2_resume"] == {"mode": "client", "start_index": 1, "last_index": 1, "last_speaker_name": "user"}
    assert boundary["resume_context"] == {"reason": "client_resume", "last_client_index": 0}


@pytest.mark.parametrize("positions", [None, {WORKFLOW: ClientPosition(index=-1)}, {}])
def test_a_replay_without_turns_has_a_complete_boundary(positions: dict[TranscriptSource, ClientPosition] | None):
    turns, boundary = replayed(stored([], []), positions)
    assert turns == []
    shown = boundary.to_dict()
    assert shown["chat_id"] == "chat-1"
    assert (shown["message_count"], shown["replayed_messages"], shown["last_message_index"]) == (0, 0, -1)


def test_the_chat_of_the_boundary_can_be_chosen():
    found = stored([(1, 1)], [(11, 2), (12, 3)])
    by_default = turns_of(replay(found, [GENERAL, WORKFLOW], clock=lambda: START))[1]
    assert by_default.to_dict()["chat_id"] == "chat-1"
    chosen = turns_of(replay(found, BOTH, chat=GENERAL, clock=lambda: START))[1]
    assert (chosen.to_dict()["chat_id"], chosen.to_dict()["message_count"]) == (GENERAL.session_id, 2)
    with pytest.raises(BadValue, match="chat: 'general:other' is not a session of the transcript"):
        replay(found, BOTH, chat=TranscriptSource("general", "other"), clock=lambda: START)


# --- traps of the original -------------------------------------------------------------------------------------------


def test_what_was_replayed_on_connect_is_not_replayed_again_for_the_client():
    found = stored([(1, 1), (2, 4)], [(11, 2)])
    _, boundary = replayed(found)
    assert replayed(found, boundary.positions)[0] == []
    last_index = boundary.to_dict()["last_message_index"]
    only_workflow = replay(
        found, [WORKFLOW], positions={WORKFLOW: ClientPosition(index=last_index)}, clock=lambda: START
    )
    assert turns_of(only_workflow)[0] == []


def test_general_turns_are_replayed():
    assert [each.source for each in replayed(stored([(1, 1)], [(11, 2)]))[0]] == [WORKFLOW, GENERAL]


# --- positions of clients --------------------------------------------------------------------------------------------


def test_a_position_as_a_sequence_reads_only_what_is_new():
    workflow = SessionsInMemory("workflow", {"chat-1": [turn("chat-1", n, n, n) for n in range(1, 101)]})
    found = readers(workflow)
    records = replay(found, [WORKFLOW], positions={WORKFLOW: ClientPosition(sequence=98)}, clock=lambda: START)
    turns, boundary = turns_of(records)
    assert contents(turns) == [99, 100]
    assert workflow.read == 2
    assert boundary.chat.position == ClientPosition(sequence=100)
    assert (boundary.chat.message_count, boundary.to_dict()["last_message_index"]) == (100, None)


def test_a_position_with_both_numbers_reads_by_sequence_and_counts_on():
    found = stored([(1, 1), (2, 4), (3, 5)], [])
    turns, boundary = replayed(found, {WORKFLOW: ClientPosition(sequence=2, index=1)})
    assert [(each.message.content, each.index_in_source) for each in turns] == [(3, 2)]
    assert boundary.chat.position == ClientPosition(sequence=3, index=2)


@pytest.mark.parametrize(
    "position", [ClientPosition(index=2), ClientPosition(sequence=3), ClientPosition(sequence=2**63 - 1)]
)
def test_a_position_ahead_of_what_is_stored_is_an_error(position: ClientPosition):
    with pytest.raises(PositionAhead, match="of session 'chat-1' is ahead: the last stored one is"):
        replayed(stored([(1, 1), (2, 4)], []), {WORKFLOW: position})
    with pytest.raises(PositionAhead):
        replayed(stored([], []), {WORKFLOW: position})


@pytest.mark.parametrize("number", [-2, -(2**63), 2**63, 1.0, True, "1"])
def test_a_number_that_no_position_can_have_is_rejected(number: Any):
    for name in ("sequence", "index"):
        with pytest.raises(BadValue, match=f"{name}: .* is not a number from 0, or -1 for nothing"):
            ClientPosition(**{name: number})


def test_a_position_of_a_session_that_is_not_replayed_is_rejected():
    with pytest.raises(BadValue, match="positions: 'general:other' is not a session of the transcript"):
        replayed(stored([], []), {TranscriptSource("general", "other"): ClientPosition(sequence=1)})
    with pytest.raises(BadValue, match="sources: 'none' is not at least one session"):
        replay(stored([], []), [], clock=lambda: START)


def test_values_that_are_no_sources_and_no_positions_are_rejected():
    found = stored([(1, 1)], [])
    for wrong in (("workflow", "chat-1"), "chat-1", TranscriptSource("workflow", None)):
        with pytest.raises(BadValue, match=r"sources: '<.*>' is not a TranscriptSource with an id"):
            replay(found, [wrong], clock=lambda: START)
    with pytest.raises(BadValue, match="positions: '<int>' is not a ClientPosition"):
        replayed(found, {WORKFLOW: 1})


def test_equal_ids_in_two_layouts_have_positions_of_their_own():
    same = [
        SessionsInMemory(layout, {"same": [turn("same", n, n, n) for n in (1, 2, 3)]})
        for layout in ("workflow", "general")
    ]
    ours, theirs = TranscriptSource("workflow", "same"), TranscriptSource("general", "same")
    positions = {ours: ClientPosition(sequence=1), theirs: ClientPosition(sequence=2)}
    turns, boundary = turns_of(replay(readers(*same), [ours, theirs], positions=positions, clock=lambda: START))
    assert [(each.source.layout, each.message.content) for each in turns] == [
        ("workflow", 2), ("general", 3), ("workflow", 3),
    ]  # fmt: skip
    assert boundary.positions[ours] == boundary.positions[theirs] == ClientPosition(sequence=3)


def test_a_session_with_turns_without_a_sequence_is_continued_by_its_count():
    messages = [turn("chat-1", 1, 1, 7), turn("chat-1", 2, 2, None)]
    found = readers(SessionsInMemory("workflow", {"chat-1": messages}))
    _, boundary = turns_of(replay(found, [WORKFLOW], clock=lambda: START))
    assert boundary.chat.position == ClientPosition(index=1)
    messages.append(turn("chat-1", 3, 3, None))
    turns, _ = turns_of(replay(found, [WORKFLOW], positions=boundary.positions, clock=lambda: START))
    assert contents(turns) == [3]


def test_a_sequence_of_a_session_without_sequences_is_an_error():
    messages = [turn("chat-1", number, number, None) for number in (1, 2)]
    found = readers(SessionsInMemory("workflow", {"chat-1": messages}))
    with pytest.raises(PositionAhead, match="The client's sequence 2 of session 'chat-1' is ahead"):
        replay(found, [WORKFLOW], positions={WORKFLOW: ClientPosition(sequence=2)}, clock=lambda: START)
    messages[0] = messages[0]._replace(sequence=2)
    turns, boundary = turns_of(
        replay(found, [WORKFLOW], positions={WORKFLOW: ClientPosition(sequence=2)}, clock=lambda: START)
    )
    assert (turns, boundary.chat.position) == ([], ClientPosition(sequence=2))


# --- properties ------------------------------------------------------------------------------------------------------

SECONDS = some.one_of(some.none(), some.integers(0, 6))
NUMBERED = some.lists(SECONDS, max_size=7).map(lambda seconds: [(second, n * 2) for n, second in enumerate(seconds, 1)])
UNNUMBERED = some.lists(SECONDS, max_size=7).map(lambda seconds: [(second, None) for second in seconds])
SESSIONS = some.lists(
    some.tuples(some.sampled_from(["workflow", "general"]), NUMBERED | UNNUMBERED), min_size=1, max_size=4
)


def sessions_of(drawn: list[tuple[str, list[tuple[int | None, int | None]]]]) -> tuple[Readers, list[TranscriptSource]]:
    layouts = {layout: SessionsInMemory(layout) for layout in ("workflow", "general")}
    sources = []
    for place, (layout, turns) in enumerate(drawn):
        name = f"s{place}"
        sources.append(TranscriptSource(layout, name))
        layouts[layout].sessions[name] = [
            turn(name, number, second, sequence) for number, (second, sequence) in enumerate(turns)
        ]
    return readers(*layouts.values()), sources


@given(SESSIONS, some.data())
def test_a_replay_from_anywhere_is_the_rest_of_the_transcript(
    drawn: list[tuple[str, list[tuple[int | None, int | None]]]], data: some.DataObject
):
    found, sources = sessions_of(drawn)
    everything = list(mixed_transcript(found, sources))
    by_index = data.draw(some.booleans(), label="by index")
    have = data.draw(some.integers(0, len(everything)), label="turns that the client has")
    positions = received(everything[:have], by_index=by_index)
    rest, boundary = turns_of(replay(found, sources, positions=positions, clock=lambda: START))
    assert [each[:2] for each in rest] == [each[:2] for each in everything[have:]]
    assert turns_of(replay(found, sources, positions=boundary.positions, clock=lambda: START))[0] == []
    assert sorted(each.source for each in boundary.sources) == sorted(sources)
    got = data.draw(some.integers(0, len(rest)), label="turns until the replay ends early")
    known = positions | {each.source: each.position for each in rest[:got]}
    remaining, _ = turns_of(replay(found, sources, positions=known, clock=lambda: START))
    assert [each[:2] for each in remaining] == [each[:2] for each in rest[got:]]


@given(SESSIONS, some.data())
def test_replays_from_boundary_to_boundary_give_each_turn_once(
    drawn: list[tuple[str, list[tuple[int | None, int | None]]]], data: some.DataObject
):
    found, sources = sessions_of(drawn)
    whole = {source: list(sessions_in(found, source)) for source in sources}
    stored_now = dict.fromkeys(sources, 0)
    positions: Mapping[TranscriptSource, ClientPosition] | None = None
    given: list[MixedTurn] = []
    for last in (False, False, True):
        for source in sources:
            at_most = len(whole[source])
            stored_now[source] = at_most if last else data.draw(some.integers(stored_now[source], at_most))
            sessions_in(found, source)[:] = whole[source][: stored_now[source]]
        turns, boundary = turns_of(replay(found, sources, positions=positions, clock=lambda: START))
        positions = boundary.positions
        given += turns
    for source in sources:
        of_source = [each for each in given if each.source == source]
        assert [each.message for each in of_source] == whole[source]
        assert [each.index_in_source for each in of_source] == list(range(len(whole[source])))


def sessions_in(found: Readers, source: TranscriptSource) -> list[Any]:
    layout = found[source.layout]
    assert isinstance(layout, SessionsInMemory)
    return layout.sessions[source.session_id]


def test_turns_that_arrive_in_time_order_give_the_transcript_of_all():
    found = stored([(1, 1), (2, 3)], [(11, 2)])
    first, boundary = replayed(found)
    sessions_in(found, GENERAL).append(turn(GENERAL.session_id, 12, 4, 2))
    sessions_in(found, WORKFLOW).append(turn("chat-1", 3, 5, 3))
    second, _ = replayed(found, boundary.positions)
    assert first + second == list(mixed_transcript(found, BOTH))
    assert second[-1].message.created_at == at(5)
