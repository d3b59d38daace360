"""`openai`: messages for OpenAI's chat completions API (types/chat/chat_completion_message_param.py of `openai`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from chatstore_cli.domain.content import content_text, text_of_part
from chatstore_cli.domain.message import ROLES, Message
from chatstore_cli.domain.workflow.repairs import Repair, Repairs
from chatstore_cli.domain.workflow.tool_calls import NO_RESULT, Exchange, ToolCall, pair_calls_with_results

Row = dict[str, Any]

MAX_NAME_LENGTH = 64
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_-]")


def rows(messages: Iterable[Message], repairs: Repairs) -> Iterator[Row]:
    """The messages for the API: each call is followed by its results, and names have only allowed characters."""
    names = _Names(repairs)
    for turn in pair_calls_with_results(messages, repairs):
        if isinstance(turn, Message):
            yield _row(turn, names, repairs)
        else:
            yield from _exchange_rows(turn, names, repairs)


def _row(message: Message, names: _Names, repairs: Repairs) -> Row:
    role = message.role
    if role not in ROLES:
        repairs.count(Repair.ROLE_UNKNOWN)
        role = "user"
    row = {"role": role, "content": _content(message.content, role, repairs)}
    return {**row, "name": names.allowed(message.name)} if message.name else row


def _exchange_rows(exchange: Exchange, names: _Names, repairs: Repairs) -> Iterator[Row]:
    called = _row(exchange.message._replace(role="assistant"), names, repairs)
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
    name = _NOT_IN_A_NAME.sub("_", call.name)[:MAX_NAME_LENGTH]
    if call.custom:
        return {"id": call.call_id, "type": "custom", "custom": {"name": name, "input": call.arguments}}
    return {"id": call.call_id, "type": "function", "function": {"name": name, "arguments": call.arguments}}


class _Names:
    """Speakers' names as the API accepts them. Different names remain different."""

    def __init__(self, repairs: Repairs) -> None:
        self._repairs = repairs
        self._allowed: dict[str, str] = {}
        self._used: set[str] = set()

    def allowed(self, name: str) -> str:
        """The name, or a similar allowed one, which is counted as a repair."""
        if name not in self._allowed:
            self._allowed[name] = self._unused(_NOT_IN_A_NAME.sub("_", name)[:MAX_NAME_LENGTH])
            self._used.add(self._allowed[name])
        if self._allowed[name] != name:
            self._repairs.count(Repair.NAME_CHANGED)
        return self._allowed[name]

    def _unused(self, candidate: str) -> str:
        name, number = candidate, 1
        while name in self._used:
            number += 1
            name = f"{candidate[: MAX_NAME_LENGTH - 1 - len(str(number))]}_{number}"
        return name


# Role -> kinds of parts that its content may have besides text, each with the keys that must be text.
_MEDIA = {"image_url": ("url",), "input_audio": ("data", "format"), "file": ()}
_PARTS: dict[str, dict[str, tuple[str, ...]]] = {"user": _MEDIA, "assistant": {}, "system": {}, "tool": {}}
_AUDIO_FORMATS = frozenset({"wav", "mp3"})
_FILE_KEYS = ("file_data", "file_id", "filename")


def _content(content: Any, role: str, repairs: Repairs) -> Any:
    """Text, or parts that the role may have. Any other content becomes text."""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and content:
        parts = [_part(part, _PARTS[role]) for part in content]
        if None not in parts:
            return parts
    if content is not None:
        repairs.count(Repair.CONTENT_FLATTENED)
    return content_text(content)


def _part(part: Any, media: dict[str, tuple[str, ...]]) -> Row | None:
    """The part with the keys that the API knows; None if the API does not know the kind of part."""
    text = text_of_part(part)
    if text is not None:
        return {"type": "text", "text": text}
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str) or kind not in media or not isinstance(body := part.get(kind), dict):
        return None
    if not all(isinstance(body.get(key), str) for key in media[kind]):
        return None
    if kind == "input_audio" and body["format"] not in _AUDIO_FORMATS:
        return None
    known = media[kind] or tuple(key for key in _FILE_KEYS if isinstance(body.get(key), str))
    return {"type": kind, kind: {key: body[key] for key in known}}
