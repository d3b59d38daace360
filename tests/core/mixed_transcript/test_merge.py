"""The mixed transcript: one order over the turns of several sessions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from chatstore_cli.core.mixed_transcript.merge import mixed_transcript
from chatstore_cli.core.mixed_transcript.sources import Readers
from chatstore_cli.domain.errors import BadValue, NotFound
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.mixed_transcript import TranscriptSource
from tests.support.transcript_sources import GENERAL, WORKFLOW, SessionsInMemory, turn

Turns = Sequence[tuple[int, float | None]]


def stored(workflow: Turns, general: Turns) -> Readers:
    """Two sessions with these numbers and seconds; the sequence is the place."""

    def messages(source: TranscriptSource, turns: Turns) -> dict[str, list[Message]]:
        numbered = enumerate(turns, 1)
        return {source.session_id: [turn(source.session_id, number, second, n) for n, (number, second) in numbered]}

    return readers(
        SessionsInMemory("workflow", messages(WORKFLOW, workflow)),
        SessionsInMemory("general", messages(GENERAL, general)),
    )


def readers(*layouts: SessionsInMemory) -> Readers:
    """The readers by layout."""
    return cast("Readers", {each.layout: each for each in layouts})


def numbers(found: Readers, *sources: TranscriptSource) -> list[Any]:
    return [each.message.content for each in mixed_transcript(found, sources or (WORKFLOW, GENERAL))]


def test_of_the_next_turns_the_earliest_comes_first():
    assert numbers(stored([(1, 1), (2, 4), (3, 6)], [(11, 2), (12, 3), (13, 5)])) == [1, 11, 12, 2, 13, 3]


def test_each_session_keeps_its_own_order_even_if_its_times_do_not_ascend():
    assert numbers(stored([(1, 9), (2, 1)], [(11, 5), (12, 20)])) == [11, 1, 2, 12]


def test_at_equal_times_the_order_does_not_depend_on_how_the_sessions_are_named():
    found = stored([(1, 1), (2, 1)], [(11, 1)])
    assert numbers(found, WORKFLOW, GENERAL) == numbers(found, GENERAL, WORKFLOW) == [11, 1, 2]


def test_a_turn_without_a_time_follows_its_predecessor():
    assert numbers(stored([(1, 1), (2, None), (3, None), (4, 9)], [(11, 1.5), (12, None)])) == [1, 2, 3, 11, 12, 4]


def test_a_first_turn_without_a_time_comes_before_all_others():
    assert numbers(stored([(1, 1)], [(11, None), (12, 2)])) == [11, 1, 12]


def test_turns_are_read_as_they_are_needed():
    workflow = SessionsInMemory(
        "workflow", {"chat-1": [turn("chat-1", number, number, number) for number in range(100)]}
    )
    transcript = mixed_transcript(readers(workflow), [WORKFLOW])
    assert workflow.read == 0
    for _ in range(3):
        next(transcript)
    assert workflow.read <= 4


def test_rows_have_their_source_also_if_two_layouts_have_one_id():
    same = [
        SessionsInMemory(layout, {"same": [turn("same", number, number, 1)]})
        for number, layout in enumerate(("workflow", "general"))
    ]
    found = mixed_transcript(
        readers(*same), [TranscriptSource("workflow", "same"), TranscriptSource("general", "same")]
    )
    assert [(each.source.to_dict(), each.message.content) for each in found] == [
        ({"layout": "workflow", "session_id": "same"}, 0),
        ({"layout": "general", "session_id": "same"}, 1),
    ]


def test_the_assistants_turns_inside_a_workflow_have_the_workflow_as_source():
    by_assistant = turn("chat-1", 1, 1, 1, metadata={"source": "general_agent"})
    found = readers(SessionsInMemory("workflow", {"chat-1": [by_assistant, turn("chat-1", 2, 2, 2)]}))
    assert [(each.source, each.is_general) for each in mixed_transcript(found, [WORKFLOW])] == [
        (WORKFLOW, True),
        (WORKFLOW, False),
    ]


@pytest.mark.parametrize("owner", [{"tenant_id": "birch"}, {"user_id": "ben"}, {"tenant_id": "acme", "user_id": "ben"}])
def test_sessions_of_another_owner_do_not_exist(owner: dict[str, str]):
    with pytest.raises(NotFound, match="No session 'chat-1' in workflow"):
        mixed_transcript(stored([(1, 1)], []), [WORKFLOW], **owner)
    assert list(mixed_transcript(stored([(1, 1)], []), [WORKFLOW], tenant_id="acme", user_id="ana"))


def test_a_session_without_a_stored_owner_is_not_everybodys():
    ownerless = SessionsInMemory("workflow", {"chat-1": []}, tenant_id=None, user_id=None)
    with pytest.raises(NotFound):
        mixed_transcript(readers(ownerless), [WORKFLOW], tenant_id="acme")


def test_invalid_sources_are_rejected_before_the_first_turn():
    found = stored([(1, 1)], [])
    with pytest.raises(NotFound, match="No session 'chat-2' in workflow"):
        mixed_transcript(found, [WORKFLOW, TranscriptSource("workflow", "chat-2")])
    with pytest.raises(BadValue, match="layout: 'messages' is not a layout of a transcript: workflow, general"):
        mixed_transcript(found, [TranscriptSource("messages", "chat-1")])
    with pytest.raises(BadValue, match="sources: 'workflow:chat-1' is not named once"):
        mixed_transcript(found, [WORKFLOW, TranscriptSource("workflow", "name-of-chat-1")])
