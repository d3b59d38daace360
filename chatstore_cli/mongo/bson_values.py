"""Conversions of BSON values to plain JSON values and numbers."""

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
    """The value for JSON: dates in RFC 3339, bytes in base64, other BSON types as text."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if isinstance(value, dict):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [json_value(item) for item in value]
    for plain in (int, float, str):  # subclasses such as Int64 and Code
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
    """A whole number of 64 bits from any numeric BSON type; None for everything else, booleans included.

    A double or a decimal can be larger, but counters and sequences never are.
    """
    if type(value) is int:
        return value if _SMALLEST <= value <= _LARGEST else None
    if isinstance(value, Decimal128):
        value = _finite(value.to_decimal())
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    if not _SMALLEST <= value <= _LARGEST:  # false for NaN as well
        return None
    number = int(value)
    return number if number == value else None


def decimal_value(value: Any) -> Decimal | None:
    """The exact amount of a Decimal128 or a text of digits, a double by its shortest text; None for other values."""
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
