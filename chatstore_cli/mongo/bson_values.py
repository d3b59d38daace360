"""Stored values as plain JSON values, whatever BSON type they have."""

from __future__ import annotations

import base64
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from bson import Decimal128
from bson.timestamp import Timestamp

from chatstore_cli.domain.times import rfc3339

_PLAIN = frozenset({str, int, float, bool, type(None)})


def json_value(value: Any) -> Any:
    """The value as JSON has it: dates in RFC 3339, bytes in base64, what JSON has no type for as its text."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if isinstance(value, dict):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [json_value(item) for item in value]
    for plain in (int, float, str):  # Int64, Code and the like, as what they derive from
        if isinstance(value, plain):
            return plain(value)
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, Timestamp):
        return rfc3339(value.as_datetime())
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)


_SMALLEST, _LARGEST = -(2**63), 2**63 - 1


def whole_number(value: Any) -> int | None:
    """A whole number of any numeric BSON type that fits into 64 bits; None for everything else, booleans included.

    What is larger can be stored as a double or a decimal, but nothing that counts or orders comes so far, and nothing
    that follows it could be stored.
    """
    if type(value) is int:
        return value if _SMALLEST <= value <= _LARGEST else None
    if isinstance(value, Decimal128):
        value = _finite(value.to_decimal())
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    if not _SMALLEST <= value <= _LARGEST:  # nor is what is no number at all
        return None
    number = int(value)
    return number if number == value else None


def decimal_value(value: Any) -> Decimal | None:
    """An amount as it was written: a double by its shortest text, a Decimal128 or a text of digits exactly; else None."""
    if isinstance(value, Decimal128):
        return _finite(value.to_decimal())
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return _finite(Decimal(str(value).strip()))
    except InvalidOperation:
        return None


def _finite(amount: Decimal) -> Decimal | None:
    return amount if amount.is_finite() else None
