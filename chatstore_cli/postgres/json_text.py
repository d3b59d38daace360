"""JSON values as the text of a `jsonb` value, and back, with every number of the same type and value.

`jsonb` stores numbers as decimals, and writes 1e16 back as an integer. So a float is passed to it without an exponent and
with a decimal point: then it comes back with one.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import orjson

_EXPONENT_FROM = 1e16
"""Floats from this one on are written with an exponent."""
_EXPONENT = re.compile(rb"e[+1-9]")
"""The beginning of such a float's exponent. A text may contain it too, which only costs time."""
_MARKED = re.compile(r'"\\u0000([^"]*)"')


def to_json_text(value: Any) -> str:
    """The JSON text of a value that core/threads/checks.py has accepted."""
    encoded = orjson.dumps(value)
    if not _EXPONENT.search(encoded):
        return encoded.decode()
    # No accepted text has NUL, so it marks the numbers.
    return _MARKED.sub(r"\1", orjson.dumps(_with_marked_floats(value)).decode())


def from_json_text(text: bytes | str) -> Any:
    """The value of a JSON text that PostgreSQL returned."""
    return orjson.loads(text)


def _with_marked_floats(value: Any) -> Any:
    if value.__class__ is float and abs(value) >= _EXPONENT_FROM:
        return f"\0{Decimal(repr(value)):f}.0"
    if value.__class__ is dict:
        return {key: _with_marked_floats(item) for key, item in value.items()}
    if value.__class__ is list:
        return [_with_marked_floats(item) for item in value]
    return value
