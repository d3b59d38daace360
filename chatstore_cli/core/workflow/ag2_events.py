"""Events of AG2 (`autogen.events` of ag2 0.14: objects, their dumps, or JSON) as what they mean for a stored session.

Pure, and without AG2: an event is identified by the name of its type, as AG2 itself writes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from chatstore_cli.domain.content import as_text
from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.storable_values import Alterations, storable_value
from chatstore_cli.domain.workflow.events import (
    AgentTurn,
    ChatEvent,
    NothingToStore,
    RunEnded,
    RunFailed,
    UnknownEvent,
    UsageOwner,
    UsageReport,
)

USER_NAMES = frozenset({"user", "_user", "user_proxy", "userproxy", "user proxy", "human"})
"""Speakers with the role user, in lower or upper case: AG2's events have no role. AG2 names a user that it adds `_User`."""

IGNORED = frozenset({
    "after_works_transition", "async_input_request", "clear_agents_history", "clear_conversable_agent_history",
    "clear_conversable_agent_history_warning", "conversable_agent_usage_summary_no_cost_incurred",
    "execute_code_block", "execute_function", "executed_function", "generate_code_execution_reply",
    "group_chat_resume", "group_chat_run_chat", "input_request", "input_response", "on_condition_l_l_m_transition",
    "on_context_condition_transition", "post_carryover_processing", "print", "reply_result_transition",
    "select_speaker", "select_speaker_invalid_input", "select_speaker_try_count_exceeded",
    "speaker_attempt_failed_multiple_agents", "speaker_attempt_failed_no_agents", "speaker_attempt_successful",
    "stream", "termination_and_human_reply_no_input", "using_auto_reply",
})  # fmt: skip
"""Types of events that are not stored: their results are in a turn, or are not needed later."""

_MAX_REASON_LENGTH = 2_000


def read_event(event: object, *, user_names: Collection[str] = USER_NAMES) -> ChatEvent:
    """The meaning of an event. `user_names` are in lower case. Raises BadValue for a value that is not an event."""
    kind, content = _parts(event)
    if kind in {"text", "tool_call", "tool_response", "function_call", "function_response"}:
        return _turn(kind, _fields(kind, content), user_names)
    if kind == "usage_summary":
        fields = _fields(kind, content)
        actual = fields.get("actual")
        usages = actual.get("usages") if isinstance(actual, Mapping) else None
        rows = usages if isinstance(usages, list | tuple) else []
        return UsageReport(_event_id(fields.get("uuid")), tuple(row for row in rows if isinstance(row, Mapping)))
    if kind == "conversable_agent_usage_summary":
        return UsageOwner(_name(_fields(kind, content).get("recipient")) or "")
    if kind in {"termination", "run_completion"}:
        # Only single fields are read: a dump of a completion would contain the whole history once more.
        speakers = (_name(_field(content, "sender")), _name(_field(content, "recipient")))
        reason = _name(_field(content, "termination_reason"))
        return RunEnded(_event_id(_field(content, "uuid")), reason, tuple(filter(None, speakers)))
    if kind == "error":
        return RunFailed(_event_id(_field(content, "uuid")), _reason(_field(content, "error")))
    return NothingToStore(kind) if kind in IGNORED else UnknownEvent(kind[:100])


def _parts(event: object) -> tuple[str, Any]:
    """The type and the content of an event."""
    if isinstance(event, str | bytes | bytearray):
        try:
            event = json.loads(event)
        except (ValueError, RecursionError) as error:
            raise BadValue(name="event", value=_shown(event), expected=f"JSON ({str(error)[:100]})") from error
    if isinstance(event, Mapping):
        kind, content = event.get("type"), event.get("content")
    else:
        kind, content = getattr(event, "type", None), getattr(event, "content", None)
        if not hasattr(content, "uuid") and hasattr(event, "uuid"):
            # The inner object without its wrapper, which has the type: the class name contains it.
            name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()
            kind, content = name.removesuffix("_event"), event
    if not isinstance(kind, str) or not kind:
        raise BadValue(name="event", value=_shown(event), expected="an event of AG2: it has no `type`")
    if content is None or isinstance(content, str | int | float | list):
        expected = "an event of AG2: its `content` should be an object that has the event's `uuid`"
        raise BadValue(name=f"event of type {kind[:100]}", value=_shown(content), expected=expected)
    return kind, content


def _fields(kind: str, content: Any) -> Mapping[str, Any]:
    if isinstance(content, Mapping):
        return content
    try:
        dumped = content.model_dump()
    except Exception as error:
        expected = f"an event that can be dumped ({type(error).__name__}: {str(error)[:100]})"
        raise BadValue(name=f"event of type {kind}", value=_shown(content), expected=expected) from error
    return dumped if isinstance(dumped, Mapping) else {}


def _field(content: Any, name: str) -> Any:
    return content.get(name) if isinstance(content, Mapping) else getattr(content, name, None)


def _turn(kind: str, fields: Mapping[str, Any], user_names: Collection[str]) -> AgentTurn:
    alterations = Alterations()
    name = _name(fields.get("sender"))
    content = storable_value(fields.get("content"), alterations)
    calls: list[Any] | None = None
    call_id: str | None = None
    responses: list[Any] | None = None
    role = "assistant"
    if kind == "tool_call":
        calls = _list(storable_value(fields.get("tool_calls"), alterations))
    elif kind == "function_call":
        calls = [{"type": "function", "function": storable_value(fields.get("function_call"), alterations)}]
    elif kind == "function_response":
        role = "tool"
    elif kind == "tool_response":
        role = "tool"
        responses = _list(storable_value(fields.get("tool_responses"), alterations))
        single = responses[0] if len(responses) == 1 else None
        if isinstance(single, dict) and isinstance(single.get("tool_call_id"), str):
            call_id = single["tool_call_id"]
            if single.get("content") == content:
                responses = None
    elif name is not None and name.lower() in user_names:
        role = "user"
    recipient = _name(fields.get("recipient"))
    return AgentTurn(
        _event_id(fields.get("uuid")),
        kind,
        role,
        name,
        content,
        calls,
        call_id,
        responses or None,
        alterations.kinds(),
        recipient,
    )


def _event_id(uuid: object) -> str | None:
    """The same text for a uuid, whether it is an object or JSON."""
    if isinstance(uuid, str) and uuid:
        try:
            return str(UUID(uuid))
        except ValueError:
            return storable_value(uuid, Alterations())[:200]  # type: ignore[no-any-return]  # text stays text
    return str(uuid) if isinstance(uuid, UUID) else None


def _name(value: object) -> str | None:
    return storable_value(value, Alterations()) if isinstance(value, str) and value else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _reason(error: object) -> str:
    """The text of an error: AG2 puts the exception itself into the event."""
    if isinstance(error, BaseException):
        text = f"{type(error).__name__}: {as_text(error)}"
    elif isinstance(error, str):
        text = error
    else:
        text = json.dumps(storable_value(error, Alterations()), ensure_ascii=False)
    return str(storable_value(text, Alterations())).strip()[:_MAX_REASON_LENGTH] or "unknown"


def _shown(value: object) -> str:
    return str(value[:60]) if isinstance(value, str | bytes) else f"<{type(value).__name__}>"
