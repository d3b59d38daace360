"""Conversions between ids as text and stored ids.

Outside this package the id of a session, tenant or user is text. Stores hold that text, an ObjectId, a UUID or a number.
MongoDB takes equal numbers of different types for equal, so a number has one text: a whole double is its integer.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from decimal import Context, Decimal, DecimalException
from math import isfinite
from typing import Any
from uuid import UUID

from bson import Binary, Decimal128, ObjectId
from bson.binary import OLD_UUID_SUBTYPE

from chatstore_cli.domain.content import is_uuid

Document = dict[str, Any]

_OBJECT_ID = re.compile(r"[0-9a-f]{24}")
_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,4})?")
_SURROGATE = re.compile("[\ud800-\udfff]")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OLD_UUID = re.compile(r"[0-9a-f]{32}")
_UUID_BYTES = 16
_INTEGERS = range(-(2**63), 2**63)
_DECIMALS = Context(prec=40)
"""More digits than a Decimal128 has, so nothing is rounded."""

REPLACED = "\ufffd"
"""What the driver returns for bytes that are not UTF-8. Such an id does not find its document."""


def id_text(value: Any) -> str:
    """The text of a stored id; hexadecimal digits for an ObjectId and for bytes that are not a UUID."""
    if type(value) is str:
        return value
    if isinstance(value, bytes):
        return str(UUID(bytes=value)) if is_uuid(value) else value.hex()
    if isinstance(value, float | Decimal128):
        return _number_text(value)
    return str(value)


def _number_text(value: float | Decimal128) -> str:
    number = value.to_decimal() if isinstance(value, Decimal128) else value
    if not (number.is_finite() if isinstance(number, Decimal) else isfinite(number)):
        return str(number)
    if _INTEGERS[0] <= number <= _INTEGERS[-1] and number == int(number):
        return str(int(number))
    return str(number.normalize(_DECIMALS) if isinstance(number, Decimal) else number)


def addressable_id(value: Any) -> str | None:
    """The text of a stored id if that text finds it again (see id_values), otherwise None.

    None for a boolean, an array, an object, a date, NaN, most bytes, and a missing value.
    """
    if type(value) is str:
        return value
    if isinstance(value, bool | str):  # Code is a str in Python
        return None
    if isinstance(value, bytes):
        is_old_uuid = getattr(value, "subtype", None) == OLD_UUID_SUBTYPE and len(value) == _UUID_BYTES
        return id_text(value) if is_uuid(value) or is_old_uuid else None
    if isinstance(value, float | Decimal128):
        text = _number_text(value)
        return text if _NUMBER.fullmatch(text) else None
    return str(value) if isinstance(value, int | ObjectId) else None


def id_values(text: str) -> list[Any]:
    """The stored values with this text: the text itself, and the ObjectId, UUID or number of the same text.

    Empty for a text with a lone surrogate, which BSON cannot hold.
    """
    if not is_storable(text):
        return []
    values: list[Any] = [text]
    if _OBJECT_ID.fullmatch(text):
        values.append(ObjectId(text))
    if _NUMBER.fullmatch(text):
        values += [number for number in _numbers(text) if id_text(number) == text]
    if _UUID.fullmatch(text):
        values.append(Binary.from_uuid(UUID(text)))
    if _OLD_UUID.fullmatch(text):
        values.append(Binary(bytes.fromhex(text), OLD_UUID_SUBTYPE))
    return values


def _numbers(text: str) -> Iterator[Any]:
    """The numbers that may have the text. An integer finds the equal double and decimal too, a fraction only its type."""
    number = Decimal(text)
    if _INTEGERS[0] <= number <= _INTEGERS[-1] and number == int(number):
        yield int(number)
        return
    yield float(text)
    with contextlib.suppress(DecimalException):  # too many digits
        yield Decimal128(number)


def id_condition(text: str) -> Any:
    """The condition of a query on the field of an id. The text is a value in it, never an operator."""
    values = id_values(text)
    return values[0] if len(values) == 1 else {"$in": values}


def document_id_condition(text: str) -> Document:
    """The same for a query that reads documents: a list that contains the id is not that id."""
    return {"$in": id_values(text), "$not": {"$type": "array"}}


def is_storable(text: str) -> bool:
    """Whether BSON can hold the text. It cannot hold a lone surrogate, which an invalid file name decodes to."""
    return text.isascii() or _SURROGATE.search(text) is None
