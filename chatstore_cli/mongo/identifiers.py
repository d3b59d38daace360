"""Conversions between ids as text and stored ids.

Outside this package the id of a session, tenant or user is text. Stores hold that text, an ObjectId, a UUID or a number.
"""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from bson import Binary, ObjectId

from chatstore_cli.domain.content import is_uuid

_OBJECT_ID = re.compile(r"[0-9a-f]{24}")
_WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_DECIMAL_FRACTION = re.compile(r"-?[0-9]{1,17}\.[0-9]{1,17}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def id_text(value: Any) -> str:
    """The text of a stored id; hexadecimal digits for an ObjectId and for bytes that are not a UUID."""
    if type(value) is str:
        return value
    if isinstance(value, bytes):
        return str(UUID(bytes=value)) if is_uuid(value) else value.hex()
    return str(value)


def id_values(text: str) -> list[Any]:
    """The stored values with this text: the text itself, and the ObjectId, UUID or number of the same text.

    Empty for a text with a lone surrogate, which BSON cannot hold.
    """
    if not is_storable(text):
        return []
    values: list[Any] = [text]
    if _OBJECT_ID.fullmatch(text):
        values.append(ObjectId(text))
    if _WHOLE_NUMBER.fullmatch(text):
        values.append(int(text))
    if _DECIMAL_FRACTION.fullmatch(text) and str(float(text)) == text:
        values.append(float(text))
    if _UUID.fullmatch(text):
        values.append(Binary.from_uuid(UUID(text)))
    return values


def id_condition(text: str) -> Any:
    """The condition of a query on the field of an id. The text is a value in it, never an operator."""
    values = id_values(text)
    return values[0] if len(values) == 1 else {"$in": values}


def is_storable(text: str) -> bool:
    """Whether BSON can hold the text. It cannot hold a lone surrogate, which an invalid file name decodes to."""
    return text.isascii() or _SURROGATE.search(text) is None
