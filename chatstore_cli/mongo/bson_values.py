"""Conversions of BSON values to plain JSON values and numbers."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from bson import DBRef, Decimal128
from bson.timestamp import Timestamp

from chatstore_cli.domain.content import bytes_text
from chatstore_cli.domain.times import read_instant, rfc3339

_PLAIN = frozenset({str, int, float, bool, type(None)})


def json_value(value: Any) -> Any:
    """The value for JSON: dates in RFC 3339, bytes in base64, other BSON types as text; a DBRef is an object."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if isinstance(value, dict):  # most items are plain, and a call for each would take as long as everything else
        return {str(key): item if type(item) in _PLAIN else json_value(item) for key, item in value.items()}
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
        return bytes_text(value)
    if isinstance(value, DBRef):  # what the driver makes of an object with the keys `$ref` and `$id`
        return json_value(value.as_doc())
    return str(value)


def stored_instant(value: Any) -> datetime | None:
    """The instant of a stored value: `read_instant`, for numbers that are decimals too."""
    if isinstance(value, Decimal128):
        number = _finite(value.to_decimal())
        return None if number is None else read_instant(float(number))
    return read_instant(value)


SMALLEST, LARGEST = -(2**63), 2**63 - 1


def whole_number(value: Any) -> int | None:
    """A whole number of 64 bits from any numeric BSON type; None for everything else, booleans included.

    A double or a decimal can be larger, but counters and sequences never are.
    """
    if type(value) is int:
        return value if SMALLEST <= value <= LARGEST else None
    if isinstance(value, Decimal128):
        value = _finite(value.to_decimal())
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    if not SMALLEST <= value <= LARGEST:  # false for NaN as well
        return None
    number = int(value)
    return number if number == value else None


_LONGEST_NUMBER = 100
"""Characters of a number that is stored as text."""

_MOST_DIGITS = 60
"""Digits before the point, and zeros after it, that an amount may have."""

_LAST_PLACE = -100


def decimal_value(value: Any) -> Decimal | None:
    """The amount of a number, or of a text that is one; None for other values, and beyond the bounds.

    A Decimal128 and a text are exact. A double has 15 digits, as in the server's `$toDecimal`: the sum of 0.1 and 0.2 is
    0.3. The bounds are on digits and exponent, because `1e300000000` is 11 characters, and 300 MB once it is written out.
    """
    try:
        if isinstance(value, Decimal128):
            amount = value.to_decimal()
        elif isinstance(value, float):
            amount = Decimal(f"{value:.15g}")
        elif isinstance(value, str) and len(value) <= _LONGEST_NUMBER:
            amount = Decimal(value.strip())
        elif isinstance(value, int) and not isinstance(value, bool):
            amount = Decimal(value)
        else:
            return None
    except InvalidOperation:
        return None
    if not amount:
        return Decimal()  # without the sign and the exponent
    return amount if amount.is_finite() and _is_bounded(amount) else None


def _is_bounded(amount: Decimal) -> bool:
    last_place = amount.as_tuple().exponent
    return abs(amount.adjusted()) <= _MOST_DIGITS and isinstance(last_place, int) and last_place >= _LAST_PLACE


def _finite(amount: Decimal) -> Decimal | None:
    return amount if amount.is_finite() else None
