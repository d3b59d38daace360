"""Transcripts as text: their structure, streaming, and unusual content."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore_cli.domain.message import Message
from chatstore_cli.domain.workflow.repairs import Repair, Repairs
from chatstore_cli.render.json_text import as_json
from chatstore_cli.render.rows.sessions import message_row
from chatstore_cli.transcripts.registry import TRANSCRIPTS

AT = datetime(2026, 3, 2, 11, 41, 0, 195769, tzinfo=UTC)
CALLS = [{"id": "c1", "type": "function", "function": {"name": "find", "arguments": "{}"}}]
FULL = Message("s", "assistant", "hi", "m1", 4, "Writer", AT, "text", "web", None, None, {"k": 1})


def written(transcript: str, *messages: Message, repairs: Repairs | None = None) -> bytes:
    return b"".join(TRANSCRIPTS[transcript](messages, repairs if repairs is not None else Repairs()))


def rows(transcript: str, *messages: Message, repairs: Repairs | None = None) -> list[dict[str, Any]]:
    text = written(transcript, *messages, repairs=repairs)
    converted: list[dict[str, Any]] = (
        list(map(json.loads, text.splitlines())) if transcript == "jsonl" else json.loads(text)
    )
    return converted


def test_jsonl_is_the_row_of_every_other_listing_byte_for_byte() -> None:
    messages = [FULL, FULL._replace(created_at=AT.replace(microsecond=0), tool_calls=CALLS), Message("s", "user", None)]
    expected = "".join(as_json(message_row(message), indented=False) + "\n" for message in messages)
    assert expected.encode() == written("jsonl", *messages)


@pytest.mark.parametrize("transcript", ["ag2", "openai"])
def test_without_messages_the_array_is_empty(transcript: str) -> None:
    assert json.loads(written(transcript)) == []


def test_without_messages_there_are_no_lines() -> None:
    assert written("jsonl") == b""


@pytest.mark.parametrize("transcript", TRANSCRIPTS)
def test_a_transcript_is_written_while_messages_still_come(transcript: str) -> None:
    seen = 0

    def messages() -> Iterator[Message]:
        nonlocal seen
        for number in range(1_000_000):
            seen += 1
            yield Message("s", "user", str(number))

    next(TRANSCRIPTS[transcript](messages(), Repairs()))
    assert seen <= 100


def test_ag2_gets_role_name_and_content_and_nothing_else() -> None:
    assert rows("ag2", FULL) == [{"role": "assistant", "name": "Writer", "content": "hi"}]


def test_ag2_gets_results_as_it_stores_them_itself() -> None:
    calls = [*CALLS, {**CALLS[0], "id": "c2"}]
    messages = [
        Message("s", "assistant", None, name="Writer", tool_calls=calls),
        Message("s", "tool", "one", name="Runner", tool_call_id="c1"),
        Message("s", "tool", {"n": 2}, name="Runner", tool_call_id="c2"),
    ]
    assert rows("ag2", *messages) == [
        {"role": "assistant", "name": "Writer", "content": "", "tool_calls": calls},
        {
            "role": "tool",
            "name": "Runner",
            "content": 'one\n\n{"n":2}',
            "tool_responses": [
                {"tool_call_id": "c1", "role": "tool", "content": "one"},
                {"tool_call_id": "c2", "role": "tool", "content": '{"n":2}'},
            ],
        },
    ]


def test_a_call_at_the_end_of_the_history_is_left_open_for_ag2() -> None:
    repairs = Repairs()
    open_call = Message("s", "assistant", None, name="Writer", tool_calls=CALLS)
    assert len(rows("ag2", open_call, repairs=repairs)) == 1
    assert repairs.notes() == []
    assert len(rows("ag2", open_call, FULL, repairs=repairs)) == 3
    assert repairs[Repair.CALL_UNANSWERED] == 1


def test_every_ag2_message_has_a_name_and_a_substitute_is_counted() -> None:
    repairs = Repairs()
    messages = [
        Message("s", "user", "a", name="Eve"),
        Message("s", "user", "b"),
        Message("s", "assistant", "c"),
        Message("s", "assistant", None, name="Writer", tool_calls=CALLS),
        Message("s", "tool", "d", tool_call_id="c1"),
    ]
    assert [row["name"] for row in rows("ag2", *messages, repairs=repairs)] == [
        "Eve",
        "Eve",
        "assistant",
        "Writer",
        "Eve",
    ]
    assert repairs[Repair.SPEAKER_MISSING] == 3


def test_openai_gets_a_result_for_every_call_and_missing_results_are_marked() -> None:
    repairs = Repairs()
    converted = rows("openai", Message("s", "assistant", "", tool_calls=CALLS), repairs=repairs)
    assert converted == [
        {"role": "assistant", "content": None, "tool_calls": CALLS},
        {"role": "tool", "content": "(no result was stored)", "tool_call_id": "c1"},
    ]
    assert repairs.notes() == ["Tool calls without a result that got a placeholder result: 1"]


def test_openai_names_have_allowed_characters_and_remain_different() -> None:
    repairs = Repairs()
    names = ["Ana Lima", "Ana_Lima", "作者", "读者", "x" * 100, "Ana Lima"]
    converted = [
        row["name"]
        for row in rows("openai", *(Message("s", "user", "a", name=name) for name in names), repairs=repairs)
    ]
    assert converted == ["Ana_Lima", "Ana_Lima_2", "__", "___2", "x" * 64, "Ana_Lima"]
    assert repairs[Repair.NAME_CHANGED] == 6


PARTS_SENT = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "https://x"}}]
PARTS = [{"type": "text", "text": "look", "extra": 1}, {"type": "image_url", "image_url": {"url": "https://x", "w": 1}}]


@pytest.mark.parametrize(
    ("role", "content", "expected"),
    [
        ("user", PARTS, PARTS_SENT),
        ("user", ["a", {"text": "b"}], [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
        ("assistant", [{"type": "text", "text": "a"}], [{"type": "text", "text": "a"}]),
        ("assistant", [PARTS[1]], [{"type": "text", "text": "[image https://x]"}]),
        ("user", [{"type": ["text"], "text": "x"}], '[{"type":["text"],"text":"x"}]'),
        ("user", [{"type": "image_url", "image_url": "https://x"}], [PARTS_SENT[1]]),
        ("user", [], ""),
        ("user", None, ""),
        ("user", 5, "5"),
        ("user", True, "true"),
        ("user", {"a": [None]}, '{"a":[null]}'),
    ],
)  # fmt: skip
def test_openai_content_is_text_or_parts_that_the_role_may_have(role: str, content: Any, expected: Any) -> None:
    assert rows("openai", Message("s", role, content))[0]["content"] == expected


def test_an_unknown_role_becomes_the_user() -> None:
    repairs = Repairs()
    for transcript in ("ag2", "openai"):
        assert rows(transcript, Message("s", "unknown", "x", name="n"), repairs=repairs)[0]["role"] == "user"
    assert repairs[Repair.ROLE_UNKNOWN] == 2


@pytest.mark.parametrize("transcript", TRANSCRIPTS)
def test_text_that_json_cannot_represent_is_replaced_and_counted(transcript: str) -> None:
    repairs = Repairs()
    text = written(transcript, Message("s", "user", "a\udc80b", name="n"), repairs=repairs)
    assert "a\ufffdb" in text.decode()
    assert repairs[Repair.TEXT_UNWRITABLE] == 1


@pytest.mark.parametrize("transcript", TRANSCRIPTS)
def test_what_json_has_no_type_for_is_its_text(transcript: str) -> None:
    repairs = Repairs()
    content = {"id": UUID("0349bd11-5f4f-4a57-9d2a-6a2f2a4c7c11"), "at": AT, "bytes": b"\x00\xff"}
    text = written(transcript, Message("s", "user", content, name="n"), repairs=repairs).decode().replace("\\", "")
    assert '{"id":"0349bd11-5f4f-4a57-9d2a-6a2f2a4c7c11","at":"2026-03-02T11:41:00.195769Z","bytes":"AP8="}' in text
    assert repairs[Repair.TEXT_UNWRITABLE] == 0


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
_names = st.none() | st.text(max_size=5)
_messages = st.builds(
    Message,
    st.just("s"),
    st.sampled_from(["user", "assistant", "system", "tool", "unknown"]),
    _values,
    name=_names,
    tool_calls=st.none() | st.lists(_values | st.sampled_from(CALLS), max_size=3),
    tool_call_id=st.sampled_from([None, "c1"]),
    metadata=st.dictionaries(st.sampled_from(["source", "tool_responses", "x"]), _values, max_size=2),
)


@pytest.mark.parametrize("transcript", TRANSCRIPTS)
@given(st.lists(_messages, max_size=8))
def test_the_transcript_of_any_content_is_strict_json(transcript: str, messages: list[Message]) -> None:
    text = written(transcript, *messages)
    for document in text.splitlines() if transcript == "jsonl" else [text]:
        json.loads(document.decode(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def turn(name: str, recipient: str | None, content: Any = "hi") -> Message:
    return Message("s", "assistant", content, name=name, metadata={} if recipient is None else {"recipient": recipient})


GROUP = [turn("user", "boss"), turn("Writer", "boss"), turn("Critic", "boss")]
NESTED = [turn("Writer", "Expert"), turn("Expert", "Writer")]
INNER_GROUP = [turn("Writer", "inner boss"), turn("InnerA", "inner boss"), turn("InnerB", "inner boss")]
LATER = [turn("user", "new boss"), turn("Writer", "new boss")]


@pytest.mark.parametrize(
    ("messages", "left_out"),
    [
        ([turn("old", None), *GROUP[:2], *NESTED, *GROUP[2:]], 2),
        ([*GROUP, *NESTED, *LATER], 2),
        ([*GROUP, *INNER_GROUP, turn("Writer", "boss")], 3),
        ([*GROUP, *INNER_GROUP], 3),
        ([*GROUP, turn("Writer", "Expert")], 1),
        ([*GROUP, turn("Writer", "Expert"), turn("Expert", "Deep")], 2),
        ([*GROUP, turn("boss", "boss"), turn("Writer", "boss"), *NESTED], 2),
        ([*GROUP, turn("new boss", "new boss"), *LATER, turn("new boss", "new boss")], 0),
        ([*GROUP, *LATER], 0),
        ([turn("user", "Writer"), *NESTED, turn("Writer", "user")], 0),
        ([turn("user", "Writer"), turn("Writer", "user"), turn("user", "Other")], 0),
        ([turn("user", "Writer"), turn("Writer", "Inner")], 0),
    ],
)
def test_for_ag2_turns_of_nested_chats_are_left_out_and_counted(messages: list[Message], left_out: int) -> None:
    repairs = Repairs()
    assert len(rows("ag2", *messages, repairs=repairs)) == len(messages) - left_out
    assert repairs[Repair.NESTED] == left_out


def test_for_ag2_parts_have_only_keys_that_its_events_accept() -> None:
    parts = [{"type": "text", "text": "hi", "annotations": [], "cache_control": None, "extra": {"a": 1}}]
    repairs = Repairs()
    [row] = rows("ag2", turn("Writer", None, parts), repairs=repairs)
    assert row["content"] == [{"type": "text", "text": "hi", "extra": {"a": 1}}]
    assert repairs[Repair.PARTS_TRIMMED] == 1


def test_for_ag2_messages_of_a_manager_have_no_name() -> None:
    """AG2 sends messages in the name of its manager, and the next manager may have another name."""
    converted = rows("ag2", *GROUP, turn("boss", "boss"), turn("Writer", "boss"))
    assert [row.get("name") for row in converted] == ["user", "Writer", "Critic", None, "Writer"]
