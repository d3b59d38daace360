"""Calls are paired with their results, in any stored order and with any gaps."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore_cli.domain.message import Message
from chatstore_cli.domain.workflow.repairs import Repair, Repairs
from chatstore_cli.domain.workflow.tool_calls import MAX_LOOK_AHEAD, Exchange, ToolCall, pair_calls_with_results


def said(text: str) -> Message:
    return Message("s", "user", text)


def calling(*ids: str | None) -> Message:
    calls = [{"id": each, "type": "function", "function": {"name": "f", "arguments": "{}"}} for each in ids]
    return Message("s", "assistant", None, tool_calls=calls)


def result(call_id: str | None, text: str = "r") -> Message:
    return Message("s", "tool", text, tool_call_id=call_id)


def shape(messages: list[Message], repairs: Repairs | None = None) -> list[Any]:
    """Texts of messages; for an exchange its calls and the texts of their results."""
    turns = pair_calls_with_results(messages, repairs or Repairs())
    return [
        {call.call_id: found and found.content for call, found in zip(turn.calls, turn.results, strict=True)}
        if isinstance(turn, Exchange)
        else turn.content
        for turn in turns
    ]


def test_a_call_is_paired_with_the_result_after_it() -> None:
    repairs = Repairs()
    assert shape([said("a"), calling("1"), result("1", "x"), said("b")], repairs) == ["a", {"1": "x"}, "b"]
    assert repairs.notes() == []


def test_results_are_paired_with_their_calls_in_any_order() -> None:
    assert shape([calling("1", "2"), result("2", "y"), result("1", "x")]) == [{"1": "x", "2": "y"}]


def test_a_later_result_is_moved_to_its_call() -> None:
    repairs = Repairs()
    assert shape([calling("1"), said("meanwhile"), result("1", "x")], repairs) == [{"1": "x"}, "meanwhile"]
    assert repairs[Repair.RESULT_MOVED] == 1


def test_a_result_beyond_the_look_ahead_has_no_call() -> None:
    far = [said(str(number)) for number in range(MAX_LOOK_AHEAD)]
    turns = shape([calling("1"), *far, result("1", "x")])
    assert turns[0] == {"1": None}
    assert turns[-1] == "[tool result 1] x"


def test_repeated_ids_belong_to_the_nearest_call() -> None:
    messages = [
        calling("1"),
        result("1", "x"),
        calling("1"),
        result("1", "y"),
        calling("1"),
        calling("1"),
        result("1", "z"),
    ]
    assert shape(messages) == [{"1": "x"}, {"1_2": "y"}, {"1_3": None}, {"1_4": "z"}]


def test_a_result_without_an_id_answers_the_next_open_call() -> None:
    assert shape([calling(None, None), result(None, "x"), result(None, "y")]) == [{"call_1": "x", "call_2": "y"}]


def test_a_result_without_its_call_becomes_a_user_message() -> None:
    repairs = Repairs()
    turns = list(pair_calls_with_results([result("1", "x"), said("a")], repairs))
    assert turns == [Message("s", "user", "[tool result 1] x"), said("a")]
    assert repairs[Repair.RESULT_ORPHANED] == 1


def test_the_last_exchange_is_known_as_the_last() -> None:
    turns = list(pair_calls_with_results([calling("1"), result("1"), said("a"), calling("2")], Repairs()))
    assert [turn.is_last for turn in turns if isinstance(turn, Exchange)] == [False, True]


def test_results_of_several_calls_in_one_message_are_separated() -> None:
    responses = [{"tool_call_id": "1", "content": "x"}, {"tool_call_id": "2", "content": ["y"]}, "odd"]
    message = Message("s", "tool", "x\n\ny", metadata={"tool_responses": responses})
    assert shape([calling("1", "2"), message]) == [{"1": "x", "2": ["y"]}]


def test_calls_are_read_in_all_usual_shapes() -> None:
    stored = [
        {"id": "a", "function": {"name": "f", "arguments": {"x": 1}}},
        {"id": "b", "name": "g", "args": None, "arguments": '{"y": 2}'},
        {"id": "c", "type": "custom", "custom": {"name": "h", "input": "text"}},
        {"id": "d", "name": "k"},
    ]
    (turn,) = pair_calls_with_results([Message("s", "assistant", None, tool_calls=stored)], Repairs())
    assert isinstance(turn, Exchange)
    assert turn.calls == [
        ToolCall("a", "a", "f", '{"x":1}'),
        ToolCall("b", "b", "g", '{"y": 2}'),
        ToolCall("c", "c", "h", '{"input":"text"}', custom_input="text"),
        ToolCall("d", "d", "k", "{}"),
    ]


def test_calls_that_cannot_be_read_are_left_out_and_counted() -> None:
    repairs = Repairs()
    calls: list[Any] = ["f()", {"id": "a"}, None, {"id": "b", "function": {"name": "f"}}]
    (turn,) = pair_calls_with_results([Message("s", "assistant", "x", tool_calls=calls)], repairs)
    assert isinstance(turn, Exchange)
    assert [call.call_id for call in turn.calls] == ["b"]
    assert repairs[Repair.CALL_UNREADABLE] == 3


def test_two_calls_with_one_id_keep_their_own_results() -> None:
    repairs = Repairs()
    messages = [calling("1", "1", None), result("1", "x"), result("1", "y"), result("z", "w")]
    (turn,) = pair_calls_with_results(messages, repairs)
    assert isinstance(turn, Exchange)
    assert [call.call_id for call in turn.calls] == ["1", "1_2", "call_1"]
    assert [answer.content for answer in turn.results if answer] == ["x", "y", "w"]
    assert repairs[Repair.CALL_ID_CHANGED] == 1


def test_a_made_up_id_is_not_that_of_a_stored_call() -> None:
    assert shape([calling("call_1", None), result("call_1", "x"), result(None, "y")]) == [
        {"call_1": "x", "call_1_2": "y"}
    ]
    assert shape([calling(None), result(None, "x"), calling("call_1"), result("call_1", "y")]) == [
        {"call_1": "x"},
        {"call_1_2": "y"},
    ]


@pytest.mark.parametrize("stored", ["x" * 41, "toolu:1", "作者", "x" * 5000])
def test_ids_that_an_api_refuses_are_changed_in_the_same_way_every_time(stored: str) -> None:
    repairs = Repairs()
    turns = list(pair_calls_with_results([calling(stored), result(stored, "x"), calling(stored)], repairs))
    first, second = (turn.calls[0].call_id for turn in turns if isinstance(turn, Exchange))
    assert first != second
    assert all(re.fullmatch("[a-zA-Z0-9_-]{1,40}", call_id) for call_id in (first, second))
    assert first == next(iter(shape([calling(stored)])[0]))
    assert repairs[Repair.CALL_ID_CHANGED] == 2


def test_ids_that_are_numbers_find_their_results() -> None:
    numbered = Message("s", "assistant", None, tool_calls=[{"id": 7, "name": "f"}, {"id": 8.0, "name": "f"}])
    answers = Message("s", "tool", "", metadata={"tool_responses": [{"tool_call_id": 8, "content": "y"}]})
    assert shape([numbered, result("7", "x"), answers]) == [{"7": "x", "8": "y"}]


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (None, "{}"),
        ("", "{}"),
        (" \n", "{}"),
        ('{"a": 1}', '{"a": 1}'),
        ('{"a": ', '{"input":"{\\"a\\": "}'),
        ("42", '{"input":"42"}'),
        ("[1]", '{"input":"[1]"}'),
        ([1], '{"input":[1]}'),
        (5, '{"input":5}'),
        ('{"a": NaN}', '{"a":null}'),
        ('{"a": 1e999}', '{"a":null}'),
        ({"a": math.inf}, '{"a":null}'),
        ('{"a": "\\ud800"}', '{"a":"\ufffd"}'),
        ('{"a":' * 2000 + "1" + "}" * 2000, None),
    ],
)  # fmt: skip
def test_arguments_become_the_text_of_an_object(stored: Any, expected: str | None) -> None:
    repairs = Repairs()
    calls = [{"id": "1", "function": {"name": "f", "arguments": stored}}]
    (turn,) = pair_calls_with_results([Message("s", "assistant", None, tool_calls=calls)], repairs)
    assert isinstance(turn, Exchange)
    text = turn.calls[0].arguments
    assert isinstance(json.loads(text, parse_constant=pytest.fail), dict)
    assert expected in (None, text)
    assert repairs[Repair.ARGUMENTS_CHANGED] == (stored is not None and text != stored)


def test_names_of_tools_are_cleaned_and_remain_different() -> None:
    repairs = Repairs()
    calls = [{"id": str(number), "name": name} for number, name in enumerate(["a.b", "a b", "a_b", "a.b"])]
    (turn,) = pair_calls_with_results([Message("s", "assistant", None, tool_calls=calls)], repairs)
    assert isinstance(turn, Exchange)
    assert [call.name for call in turn.calls] == ["a_b", "a_b_2", "a_b_3", "a_b"]
    assert repairs[Repair.TOOL_NAME_CHANGED] == 4


_ids = st.sampled_from(["1", "2", "3", None])
_messages = st.one_of(
    st.builds(said, st.text(max_size=3)),
    st.builds(calling, _ids),
    st.builds(calling, _ids, _ids),
    st.builds(result, _ids),
)


@given(st.lists(_messages, max_size=30))
def test_no_message_is_lost_or_doubled_and_every_result_has_its_call(messages: list[Message]) -> None:
    turns = list(pair_calls_with_results(messages, Repairs()))
    results = sum(sum(found is not None for found in turn.results) for turn in turns if isinstance(turn, Exchange))
    assert len(messages) == len(turns) + results
    assert not any(isinstance(turn, Message) and (turn.role == "tool" or turn.tool_calls) for turn in turns)
    assert [turn.is_last for turn in turns if isinstance(turn, Exchange)].count(True) <= 1
