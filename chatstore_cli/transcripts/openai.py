"""`openai`: the messages of OpenAI's chat completions API (types/chat/chat_completion_message_param.py of `openai`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from chatstore_cli.domain.content import content_text, text_of_part
from chatstore_cli.domain.message import ROLES, Message
from chatstore_cli.domain.workflow.repairs import Repair, Repairs
from chatstore_cli.domain.workflow.tool_calls import NO_RESULT, Exchange, ToolCall, pair_calls_with_results

Row = dict[str, Any]

LONGEST_NAME = 64
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_-]")


def rows(messages: Iterable[Message], repairs: Repairs) -> Iterator[Row]:
    """The messages for the API: every call answered right behind it, names of allowed letters only."""
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
    name = _NOT_IN_A_NAME.sub("_", call.name)[:LONGEST_NAME]
    if call.custom:
        return {"id": call.call_id, "type": "custom", "custom": {"name": name, "input": call.arguments}}
    return {"id": call.call_id, "type": "function", "function": {"name": name, "arguments": call.arguments}}


class _Names:
    """Speakers' names as the API takes them; two that would become the same are kept apart."""

    def __init__(self, repairs: Repairs) -> None:
        self._repairs = repairs
        self._given: dict[str, str] = {}
        self._taken: set[str] = set()

    def allowed(self, name: str) -> str:
        """The name, or the nearest one that is allowed, which is counted."""
        if name not in self._given:
            self._given[name] = self._free(_NOT_IN_A_NAME.sub("_", name)[:LONGEST_NAME])
            self._taken.add(self._given[name])
        if self._given[name] != name:
            self._repairs.count(Repair.NAME_CHANGED)
        return self._given[name]

    def _free(self, wanted: str) -> str:
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted[: LONGEST_NAME - 1 - len(str(number))]}_{number}"
        return name


# Role -> kinds of parts that its content may have besides text: (key of the value, keys in it that must be text).
_MEDIA = {"image_url": ("url",), "input_audio": ("data", "format"), "file": ()}
_PARTS: dict[str, dict[str, tuple[str, ...]]] = {"user": _MEDIA, "assistant": {}, "system": {}, "tool": {}}
_AUDIO_FORMATS = frozenset({"wav", "mp3"})
_FILE_KEYS = ("file_data", "file_id", "filename")


def _content(content: Any, role: str, repairs: Repairs) -> Any:
    """Text, or parts of the kinds that the role may have; anything else as text."""
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
    """The part with what the API knows of it; None where it knows no such part."""
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
