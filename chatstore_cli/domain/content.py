"""The content of a message, which can be any JSON value, as text; and values converted for strict JSON."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from chatstore_cli.domain.media import media_of, without_data
from chatstore_cli.domain.times import rfc3339

_TEXT_PARTS = (None, "text", "input_text", "output_text")
"""The `type` values of content parts that hold plain text."""

_SURROGATES = re.compile("[\ud800-\udfff]")

_DEEPEST = 200
"""Levels of a value. MongoDB stores fewer than 200. Python reads nearly 1,000, and can go through half as many."""


def content_text(content: Any) -> str:
    """The content as text: empty for null, else one line for each part; other values as JSON.

    A picture or file is its type and size in brackets.
    """
    if content is None:
        return ""
    parts = content if isinstance(content, list) else [content]
    texts = [_text_or_media(part) for part in parts]
    if all(text is None for text in texts) and parts:
        return json_text(without_data(content))
    known = zip(parts, texts, strict=True)
    return "\n".join(json_text(without_data(part)) if text is None else text for part, text in known)


def text_of_part(part: Any) -> str | None:
    """The text of a content part (a string, `{"type": "text", "text": ...}` or a refusal); None for any other part."""
    if isinstance(part, dict):
        kind = part.get("type")
        part = part.get("text") if kind in _TEXT_PARTS else part.get("refusal") if kind == "refusal" else None
    if part.__class__ is str and not part.startswith("data:"):
        return part
    return part if isinstance(part, str) and media_of(part) is None else None


def _text_or_media(part: Any) -> str | None:
    text = text_of_part(part)
    if text is not None:
        return text
    media = media_of(part)
    return None if media is None else media.as_text()


def json_text(value: Any) -> str:
    """The value as compact JSON; see `json_safe`."""
    return json.dumps(json_safe(value), ensure_ascii=False, separators=(",", ":"))


def json_safe(value: Any, level: int = 0) -> Any:
    """A copy for strict JSON: NaN and infinity become null, a lone surrogate U+FFFD, other types their text.

    What is nested deeper than MongoDB stores, as a line of a journal may be, becomes a note.
    """
    if isinstance(value, str):
        return _SURROGATES.sub("\ufffd", value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Mapping | list | tuple):
        if level == _DEEPEST:
            return "(nested too deep to be shown)"
        if isinstance(value, Mapping):
            return {json_safe(str(key)): json_safe(item, level + 1) for key, item in value.items()}
        return [json_safe(item, level + 1) for item in value]
    return json_safe(as_text(value))


def is_uuid(value: bytes) -> bool:
    """Whether bytes are a UUID of BSON.

    The driver could make UUIDs itself, but then fails for a whole answer if one of them does not have 16 bytes.
    """
    return getattr(value, "subtype", None) == 4 and len(value) == 16


def bytes_text(value: bytes) -> str:
    """The text of a UUID; other bytes in base64."""
    return str(UUID(bytes=value)) if is_uuid(value) else base64.b64encode(value).decode()


def as_text(value: Any) -> str:
    """The text of a value of a type that JSON does not have: bytes in base64, an instant in RFC 3339, else `str(value)`."""
    if isinstance(value, bytes):
        return bytes_text(value)
    try:
        return str(rfc3339(value)) if isinstance(value, datetime) else str(value)
    except Exception:  # noqa: BLE001 - __str__ of an application's own type may raise anything
        return f"<{type(value).__name__}>"
