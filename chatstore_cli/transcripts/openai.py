"""`openai`: messages for OpenAI's chat completions API (types/chat/chat_completion_message_param.py of `openai`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from chatstore_cli.domain.content import text_of_part
from chatstore_cli.domain.media import media_of
from chatstore_cli.domain.message import ROLES, Message
from chatstore_cli.domain.workflow.allowed_names import AllowedNames
from chatstore_cli.domain.workflow.content_parts import count_replaced_media, picture_part, plain_text
from chatstore_cli.domain.workflow.provider_parts import in_one_form
from chatstore_cli.domain.workflow.repairs import Repair, Repairs
from chatstore_cli.domain.workflow.tool_calls import NO_RESULT, Exchange, ToolCall, pair_calls_with_results

Row = dict[str, Any]


def rows(messages: Iterable[Message], repairs: Repairs) -> Iterator[Row]:
    """The messages for the API: each call is followed by its results, and names have only allowed characters."""
    names = AllowedNames()
    for turn in pair_calls_with_results(in_one_form(messages, repairs), repairs):
        if isinstance(turn, Message):
            yield _row(turn, names, repairs)
        else:
            yield from _exchange_rows(turn, names, repairs)


def _row(message: Message, names: AllowedNames, repairs: Repairs) -> Row:
    role = message.role
    if role not in ROLES:
        repairs.count(Repair.ROLE_UNKNOWN)
        role = "assistant" if message.tool_calls else "user"
    row = {"role": role, "content": _content(message.content, role, repairs)}
    if not message.name:
        return row
    allowed = names.of(message.name)
    if allowed != message.name:
        repairs.count(Repair.NAME_CHANGED)
    return {**row, "name": allowed}


def _exchange_rows(exchange: Exchange, names: AllowedNames, repairs: Repairs) -> Iterator[Row]:
    message = exchange.message
    called = _row(message if message.role not in ROLES else message._replace(role="assistant"), names, repairs)
    called["content"] = called["content"] or None
    yield {**called, "tool_calls": [_call(call) for call in exchange.calls]}
    for call, result in zip(exchange.calls, exchange.results, strict=True):
        content: Any = NO_RESULT
        if result is None:
            repairs.count(Repair.CALL_UNANSWERED)
        else:
            content = _content(result.content, "tool", repairs)
        yield {"role": "tool", "content": content, "tool_call_id": call.call_id}


def _call(call: ToolCall) -> Row:
    if call.custom_input is not None:
        return {"id": call.call_id, "type": "custom", "custom": {"name": call.name, "input": call.custom_input}}
    return {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


_AUDIO_FORMATS = frozenset({"wav", "mp3"})
_FILE_KEYS = ("file_data", "file_id", "filename")


def _content(content: Any, role: str, repairs: Repairs) -> Any:
    """Text, or parts that the role may have. Any other content becomes text."""
    if isinstance(content, str) and not content.startswith("data:"):
        return content
    if isinstance(content, list) and content:
        parts = [_part(part, role) for part in content]
        if None not in parts:
            count_replaced_media(content, parts, repairs)
            return parts
    elif role == "user" and isinstance(content, str | Mapping) and (part := _part(content, role)) is not None:
        return [part] if part["type"] != "text" else plain_text(content, repairs)
    return plain_text(content, repairs)


def _part(part: Any, role: str) -> Row | None:
    """The part with the keys that the API knows; None if the API does not know the kind of part."""
    text = text_of_part(part)
    if text is not None:
        return {"type": "text", "text": text}
    media = media_of(part)
    if media is None:
        return None
    known = _file_or_sound(part) or picture_part(media) if role == "user" else None
    return known or {"type": "text", "text": media.as_text()}


def _file_or_sound(part: Any) -> Row | None:
    """A part with a file or sound that the API accepts."""
    kind = str(part.get("type")) if isinstance(part, Mapping) else ""
    body = part.get(kind) if kind in ("input_audio", "file") else None
    if not isinstance(body, Mapping):
        return None
    if kind == "file":
        file = {key: body[key] for key in _FILE_KEYS if isinstance(body.get(key), str)}
        return {"type": kind, kind: file} if "file_data" in file or "file_id" in file else None
    sound = {key: body.get(key) for key in ("data", "format")}
    is_accepted = isinstance(sound["data"], str) and sound["format"] in _AUDIO_FORMATS
    return {"type": kind, kind: sound} if is_accepted else None
