"""Messages in the forms of several providers' APIs, as messages of one form.

OpenAI stores tool calls beside the content. Anthropic, Bedrock and Gemini store calls, results and thinking as parts of
the content, and OpenAI's Responses API as items of a list. Here calls become `tool_calls`, each result a message of the
role `tool`, and the rest remains as content. Thinking and signatures are left out and counted: only the model that wrote
them can read them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from chatstore_cli.domain.message import ROLES, Message
from chatstore_cli.domain.workflow.repairs import Repair, Repairs

_ROLES = {
    "function": "tool", "developer": "system", "human": "user", "ai": "assistant", "model": "assistant", "bot": "assistant",
}  # fmt: skip
"""Roles under other names."""

_CALL_TYPES = frozenset({"tool_use", "server_tool_use", "tool_call", "tool-call", "function_call"})
_RESULT_TYPES = frozenset({"tool_result", "tool-result", "function_call_output"})
_THINKING_TYPES = frozenset({"thinking", "redacted_thinking", "reasoning", "reasoning_content"})
_SIGNATURES = ("thoughtSignature", "thought_signature", "signature", "extra_content")


def in_one_form(messages: Iterable[Message], repairs: Repairs) -> Iterator[Message]:
    """The messages in order, each in the common form. Plain messages pass unchanged."""
    for message in messages:
        if message.content.__class__ is str and message.role in ROLES and not message.tool_calls:
            if "reasoning_content" in message.metadata:
                repairs.count(Repair.THINKING_LEFT_OUT)
            yield message
        else:
            yield from _converted(message, repairs)


def _converted(message: Message, repairs: Repairs) -> Iterator[Message]:
    role = _ROLES.get(message.role.strip().lower(), message.role)
    if "reasoning_content" in message.metadata:
        repairs.count(Repair.THINKING_LEFT_OUT)
    calls = [_without_signature(call, repairs) for call in message.tool_calls or ()]
    kept: list[Any] = []
    results: list[Message] = []
    parts = parts_of(message.content)
    for part in parts or ():
        if (call := call_of(part)) is not None:
            calls.append(_without_signature(call, repairs))
        elif (result := result_of(part)) is not None:
            call_id, content = result
            results.append(message._replace(role="tool", name=None, content=content, tool_call_id=call_id, metadata={}))
        elif is_thinking(part):
            repairs.count(Repair.THINKING_LEFT_OUT)
        else:
            kept.append(_without_signature(part, repairs))
    yield from (result._replace(tool_calls=None) for result in results)
    if results and not kept and not calls:
        return
    content = message.content if parts is None or kept == parts else kept or None
    yield message._replace(role=role, content=content, tool_calls=calls or None)


def parts_of(content: Any) -> list[Any] | None:
    """The parts of a content that has parts: a list, one part, or Gemini's `{"role": ..., "parts": [...]}`."""
    if isinstance(content, Mapping):
        inner = content.get("parts")
        if isinstance(inner, list):
            return inner
        is_part = call_of(content) is not None or result_of(content) is not None or is_thinking(content)
        return [content] if is_part else None
    return content if isinstance(content, list) else None


def call_of(part: Any) -> dict[str, Any] | None:
    """The tool call of a content part, in OpenAI's form; None for any other part."""
    if not isinstance(part, Mapping):
        return None
    body: Any = next((part[name] for name in ("functionCall", "function_call", "toolUse") if name in part), None)
    if not isinstance(body, Mapping):
        if _type_of(part) not in _CALL_TYPES:
            return None
        body = part
    name = body.get("name") or body.get("toolName")
    if not isinstance(name, str):
        return None
    arguments = next((body[key] for key in ("arguments", "args", "input") if body.get(key) is not None), None)
    call_id = next(
        (body[key] for key in ("call_id", "toolUseId", "toolCallId", "id") if body.get(key) is not None), None
    )
    call = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
    return call | {key: part[key] for key in _SIGNATURES if key in part}


def result_of(part: Any) -> tuple[str | None, Any] | None:
    """The id of the call and the content of a tool result; None for any other part."""
    if not isinstance(part, Mapping):
        return None
    names = ("functionResponse", "function_response", "toolResult")
    body: Any = next((part[name] for name in names if isinstance(part.get(name), Mapping)), None)
    if body is None:
        if _type_of(part) not in _RESULT_TYPES:
            return None
        body = part
    keys = ("tool_use_id", "toolUseId", "call_id", "toolCallId", "tool_call_id", "id")
    call_id = next((id_as_text(body[key]) for key in keys if body.get(key) is not None), None)
    content = next((body[key] for key in ("content", "response", "output", "result") if key in body), None)
    if isinstance(content, list):  # Bedrock: [{"text": ...}, {"json": ...}]
        content = [item["json"] if isinstance(item, Mapping) and set(item) == {"json"} else item for item in content]
        content = content[0] if len(content) == 1 and not isinstance(content[0], str | Mapping) else content
    return call_id, content


def is_thinking(part: Any) -> bool:
    return isinstance(part, Mapping) and (
        _type_of(part) in _THINKING_TYPES or part.get("thought") is True or "reasoningContent" in part
    )


def _without_signature(part: Any, repairs: Repairs) -> Any:
    if not isinstance(part, Mapping) or not any(part.get(key) for key in _SIGNATURES):
        return part
    repairs.count(Repair.THINKING_LEFT_OUT)
    return {key: value for key, value in part.items() if key not in _SIGNATURES}


def _type_of(part: Mapping[str, Any]) -> str | None:
    kind = part.get("type")
    return kind if isinstance(kind, str) else None


def id_as_text(value: Any) -> str | None:
    """The id of a tool call as text. A whole number counts as its digits; other values are not ids."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        return None
    return str(int(value))
