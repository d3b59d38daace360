"""JSON text that is exact for any stored value, and safe on a terminal."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from chatstore_cli.domain.content import bytes_text
from chatstore_cli.domain.times import rfc3339
from chatstore_cli.render.safe import UNSAFE

_UNSAFE_IN_JSON = re.compile(UNSAFE.pattern.replace("\x00-\x1f", ""))
"""JSON has escaped the C0 controls of stored text. Those that remain are the line breaks between keys."""

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC


def as_json(value: Any, *, indented: bool = True) -> str:
    """JSON text of any value, with keys in their order. Values that JSON has no type for become text.

    Stored text is exact: control characters are written as JSON escapes, which read back as the same characters.
    """
    try:
        text = orjson.dumps(
            value, default=_as_text, option=_OPTIONS | (orjson.OPT_INDENT_2 if indented else 0)
        ).decode()
    except TypeError:
        # orjson rejects integers over 64 bits, lone surrogates and some keys.
        separators = (",", ": ") if indented else (",", ":")
        text = json.dumps(_plain(value), ensure_ascii=False, indent=2 if indented else None, separators=separators)
    return safe_json(text)


def safe_json(text: str) -> str:
    """The same JSON with control characters written as JSON escapes."""
    return text if text.isascii() and "\x7f" not in text else _UNSAFE_IN_JSON.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return json.dumps(match[0])[1:-1]


def _as_text(value: Any) -> Any:
    """The value to write instead of one that orjson does not know, such as ObjectId, Decimal128 or bytes."""
    if isinstance(value, bytes):
        return bytes_text(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return rfc3339(value)
    return _plain(_as_text(value))
