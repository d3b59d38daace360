"""The text of a message that is searched, and in which the offsets of hits count characters.

It has a line for each text of the content, then for each tool call its name and the values of its arguments. Keys of
objects are not searched, and neither is data in base64: of a picture or a file it has the name and the address.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from chatstore_cli.domain.content import as_text, text_of_part
from chatstore_cli.domain.media import is_data, is_data_uri, media_of
from chatstore_cli.domain.message import Message

_LABELS = frozenset({"type", "id", "call_id", "tool_call_id", "tool_use_id"})
_ARGUMENTS = frozenset({"arguments", "args", "input", "parameters"})
"""Keys of a tool call under which APIs put its arguments; some as JSON in a text."""


def message_text(message: Message) -> str:
    """The text of the content and of the tool calls, one below the other."""
    content = message.content
    if content.__class__ is str and not message.tool_calls:
        return "" if is_data_uri(content) else str(content)
    parts = content if isinstance(content, list) else [content]
    texts = [text for part in parts for text in _texts_of_part(part)]
    texts += [text for call in message.tool_calls or () for text in _texts_of_call(call)]
    return "\n".join(filter(None, texts))


def _texts_of_part(part: Any) -> Iterator[str]:
    text = part if isinstance(part, str) else text_of_part(part)
    if text is not None:
        if not is_data_uri(text):
            yield str(text)
    elif isinstance(part, Mapping) and media_of(part) is None:
        yield from _texts_of_call(part) if isinstance(part.get("type"), str) else _values(part)
    else:
        yield from _values(part)


def _texts_of_call(call: Any) -> Iterator[str]:
    """The texts of a tool call, of its result or of a similar part, without its kind and its id."""
    fields = {key: value for key, value in call.items() if key not in _LABELS} if isinstance(call, Mapping) else call
    yield from _values(fields)


def _values(value: Any) -> Iterator[str]:
    """The texts and numbers in a value of JSON, in their order. Recursion would be limited by the depth of hostile values."""
    waiting: list[tuple[Any, Any]] = [(None, value)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, str):
            decoded = _decoded(value) if key in _ARGUMENTS else None
            if decoded is not None:
                waiting.append((None, decoded))
            elif not is_data(value):
                yield str(value)
        elif isinstance(value, Mapping) and (media := media_of(value)) is not None:
            address = media.address
            known = (media.name, address if address is not None and not is_data(address) else None)
            yield from filter(None, known)
        elif isinstance(value, Mapping):
            waiting.extend(reversed(list(value.items())))
        elif isinstance(value, list | tuple):
            waiting.extend((None, each) for each in reversed(value))
        elif value is not None and not isinstance(value, bool | bytes):
            yield as_text(value)


def _decoded(text: str) -> Any:
    """The object or list that a text has as JSON; None if it has none."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
