"""The meanings of AG2's events: of the real classes, and of anything that an application may pass."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from chatstore_cli.core.workflow.ag2_events import IGNORED, read_event
from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.storable_values import Alterations, storable_value
from chatstore_cli.domain.workflow.events import (
    AgentTurn,
    NothingToStore,
    RunEnded,
    RunFailed,
    UnknownEvent,
    UsageOwner,
    UsageReport,
)
from tests.support.ag2_agents import call, start_conversation
from tests.support.ag2_events import event, text
from tests.support.peers import import_peer


@pytest.fixture(scope="module")
def autogen() -> Any:
    """The real AG2."""
    return import_peer("autogen")


@pytest.fixture(scope="module")
def emitted(autogen: Any) -> list[Any]:
    """The events of a real group chat with tools."""
    return list(start_conversation(autogen))


def test_an_event_means_the_same_as_object_dump_json_and_without_its_wrapper(emitted: list[Any]) -> None:
    meanings = [read_event(each) for each in emitted]
    assert [read_event(each.model_dump()) for each in emitted] == meanings
    assert [read_event(each.model_dump_json()) for each in emitted] == meanings
    assert [read_event(each.model_dump_json().encode()) for each in emitted] == meanings
    assert [read_event(each.content) for each in emitted] == meanings


def test_the_turns_of_a_real_group_chat_are_read_completely(emitted: list[Any]) -> None:
    turns = [meaning for each in emitted if isinstance(meaning := read_event(each), AgentTurn)]
    uuids = [str(each.content.uuid) for each in emitted if each.type in {"text", "tool_call", "tool_response"}]
    assert [turn.event_id for turn in turns] == uuids
    assert [(turn.role, turn.name) for turn in turns[:3]] == [
        ("user", "user"), ("assistant", "Writer"), ("tool", "Executor")
    ]  # fmt: skip
    assert turns[1].tool_calls == [call(7), call(8)]
    assert [each["tool_call_id"] for each in turns[2].tool_responses or []] == ["call_7", "call_8"]
    assert (turns[5].tool_call_id, turns[5].tool_responses, turns[5].content) == ("call_9", None, "order 9: sent")


def test_every_type_that_ag2_has_is_known(autogen: Any) -> None:
    from autogen.events import agent_events, client_events, print_event
    from autogen.events.base_event import get_event_classes

    assert all((agent_events, client_events, print_event))
    stored = {"text", "tool_call", "tool_response", "function_call", "function_response"}
    rest = {"usage_summary", "conversable_agent_usage_summary", "termination", "run_completion", "error"}
    assert set(get_event_classes()) == stored | rest | IGNORED


def test_events_that_are_not_stored_are_distinguished_by_type(autogen: Any) -> None:
    from autogen.events.agent_events import ErrorEvent, GroupChatRunChatEvent, InputRequestEvent
    from autogen.events.client_events import UsageSummaryEvent

    assert read_event(GroupChatRunChatEvent(speaker="Writer")) == NothingToStore("group_chat_run_chat")
    assert read_event(InputRequestEvent(prompt="?", respond=print)) == NothingToStore("input_request")
    assert read_event(event("brand_new")) == UnknownEvent("brand_new")
    failed = read_event(ErrorEvent(error=ValueError("no such model")))
    assert isinstance(failed, RunFailed)
    assert failed.reason == "ValueError: no such model"
    used = {
        "fake": {"cost": 0.002, "prompt_tokens": 16, "completion_tokens": 8, "total_tokens": 24},
        "total_cost": 0.002,
    }
    summary = read_event(UsageSummaryEvent(actual_usage_summary=used, total_usage_summary=used))
    assert isinstance(summary, UsageReport)
    assert [row["model"] for row in summary.rows] == ["fake"]
    nothing = read_event(UsageSummaryEvent(actual_usage_summary=None, total_usage_summary=None))
    assert isinstance(nothing, UsageReport)
    assert nothing.rows == ()
    assert read_event(event("conversable_agent_usage_summary", recipient="Writer")) == UsageOwner("Writer")
    ended = read_event(event("termination", uuid="u", termination_reason="Maximum turns (1) reached", sender="x"))
    assert ended == RunEnded("u", "Maximum turns (1) reached", ("x",))


def test_the_older_function_calls_become_tool_calls() -> None:
    function = {"name": "look_up", "arguments": "{}"}
    called = read_event(event("function_call", content=None, sender="Writer", function_call=function))
    answered = read_event(event("function_response", content="sent", sender="Executor", name="look_up"))
    assert isinstance(called, AgentTurn)
    assert isinstance(answered, AgentTurn)
    assert called.tool_calls == [{"type": "function", "function": function}]
    assert (answered.role, answered.content) == ("tool", "sent")


@pytest.mark.parametrize(("sender", "role"), [("user", "user"), ("_User", "user"), ("User_Proxy", "user"), ("Bob", "assistant"), (None, "assistant")])  # fmt: skip
def test_the_role_of_a_text_comes_from_its_speaker(sender: str | None, role: str) -> None:
    turn = read_event(text("hello", sender))
    assert isinstance(turn, AgentTurn)
    assert (turn.role, turn.name) == (role, sender)


@pytest.mark.parametrize("content", ["", None, 7, 0.5, True, [{"type": "text", "text": "a"}], {"$set": {"a.b": "$c"}}])
def test_content_of_any_json_type_stays_what_it_is(content: Any) -> None:
    turn = read_event(json.dumps(text(content)))
    assert isinstance(turn, AgentTurn)
    assert turn.content == content
    assert type(turn.content) is type(content)
    assert turn.alterations == ()


@pytest.mark.parametrize(
    "nothing",
    [
        None,
        7,
        "",
        "not json",
        "[]",
        "{}",
        b"\xff",
        {},
        {"type": "text"},
        {"type": 7, "content": {}},
        {"type": "text", "content": "hello"},
        "[" * 100_000,
    ],
)
def test_a_value_that_is_not_an_event_is_rejected_with_a_reason(nothing: Any) -> None:
    with pytest.raises(BadValue) as refused:
        read_event(nothing)
    assert "event" in refused.value.message
    assert len(refused.value.message) < 400


def test_values_that_cannot_be_stored_become_text_and_are_reported() -> None:
    deep: Any = "end"
    for _ in range(400):
        deep = [deep]
    content = {"big": 2**70, "nan": float("nan"), "half": "a\ud800b", "nul\0": 1, "deep": deep, "id": uuid.UUID(int=1)}
    turn = read_event(text(content))
    assert isinstance(turn, AgentTurn)
    assert (turn.content["big"], turn.content["nan"], turn.content["half"]) == (str(2**70), "nan", "a\ufffdb")
    assert turn.content["nul\ufffd"] == 1
    assert turn.content["id"] == str(uuid.UUID(int=1))
    assert len(turn.alterations) == 5


JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(alphabet=some.characters()),
    lambda inner: some.lists(inner) | some.dictionaries(some.text(alphabet=some.characters()), inner),
    max_leaves=20,
)


@given(JSON)
def test_whatever_an_event_holds_can_be_stored(value: Any) -> None:
    import bson

    kept = storable_value(value, Alterations())
    assert bson.decode(bson.encode({"kept": kept})).keys() == {"kept"}


FIELDS = ["uuid", "content", "sender", "tool_calls", "tool_responses", "error", "actual", "recipient"]
MEANINGS: dict[str, type] = {
    "text": AgentTurn,
    "tool_call": AgentTurn,
    "tool_response": AgentTurn,
    "function_call": AgentTurn,
    "function_response": AgentTurn,
    "usage_summary": UsageReport,
    "error": RunFailed,
    "termination": RunEnded,
}


@given(some.dictionaries(some.sampled_from(FIELDS), JSON), some.sampled_from(sorted(MEANINGS)))
def test_a_dump_with_any_values_means_what_its_type_says_and_can_be_stored(content: dict[str, Any], kind: str) -> None:
    import bson

    meaning = read_event({"type": kind, "content": content})
    assert type(meaning) is MEANINGS[kind]
    uuid_text = content.get("uuid")
    assert isinstance(meaning, AgentTurn | UsageReport | RunFailed | RunEnded)
    assert (meaning.event_id is not None) == (isinstance(uuid_text, str) and uuid_text != "")
    if isinstance(meaning, UsageReport):
        assert all(isinstance(row, dict) for row in meaning.rows)
        return
    bson.encode(asdict(meaning))
    if isinstance(meaning, RunFailed):
        assert 0 < len(meaning.reason) <= 2_000
    if isinstance(meaning, AgentTurn):
        assert meaning.event_type == kind
        assert meaning.role == "tool" if kind.endswith("_response") else meaning.role in {"user", "assistant"}
        assert (meaning.tool_calls is not None) == kind.endswith("_call")
