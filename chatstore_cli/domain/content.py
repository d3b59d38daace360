"""The content of a message, which is any JSON value, as text; and values as strict JSON can hold them."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chatstore_cli.domain.times import rfc3339

_TEXT_PARTS = (None, "text", "input_text", "output_text")
"""The values of `type` under which a part of a content holds plain text."""

_SURROGATES = re.compile("[\ud800-\udfff]")


def content_text(content: Any) -> str:
    """The content as text: nothing for null, the texts of its parts on lines of their own, else its JSON."""
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    parts = content if isinstance(content, list) else [content]
    texts = [text_of_part(part) for part in parts]
    if all(text is not None for text in texts):
        return "\n".join(text for text in texts if text is not None)
    return json_text(content)


def text_of_part(part: Any) -> str | None:
    """The text of a part: itself, or of `{"type": "text", "text": ...}`; None where the part is something else."""
    if isinstance(part, dict) and part.get("type") in _TEXT_PARTS:
        part = part.get("text")
    return part if isinstance(part, str) else None


def json_text(value: Any) -> str:
    """The value as compact JSON, whatever it holds; see `writable`."""
    return json.dumps(writable(value), ensure_ascii=False, separators=(",", ":"))


def writable(value: Any) -> Any:
    """The value with what JSON cannot hold replaced: no number becomes null, a lone surrogate U+FFFD, the rest its text."""
    if isinstance(value, str):
        return _SURROGATES.sub("\ufffd", value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Mapping):
        return {writable(str(key)): writable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [writable(item) for item in value]
    return writable(as_text(value))


def as_text(value: Any) -> str:
    """What stands for a value that JSON has no type for: bytes in base64, an instant in RFC 3339, else its text."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    try:
        return str(rfc3339(value)) if isinstance(value, datetime) else str(value)
    except Exception:  # noqa: BLE001 - an application's own type may raise whatever it likes
        return f"<{type(value).__name__}>"
