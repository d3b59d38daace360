"""Ids as text, and text as the stored values that it may stand for.

A session, tenant or user is named by text everywhere above this package; stores hold that text, or an ObjectId, a
UUID or a number in its place.
"""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from bson import ObjectId

_OBJECT_ID = re.compile(r"[0-9a-f]{24}")
_WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def id_text(value: Any) -> str:
    """The text that names a stored id: an ObjectId by its hex, bytes by theirs."""
    if isinstance(value, str):
        return value
    return value.hex() if isinstance(value, bytes) else str(value)


def id_values(text: str) -> list[Any]:
    """The stored values that the text may stand for: itself, and the ObjectId, UUID or number that reads the same.

    None for a lone surrogate, which nothing in BSON can be (FACTS A).
    """
    if not text.isascii() and _SURROGATE.search(text):
        return []
    values: list[Any] = [text]
    if _OBJECT_ID.fullmatch(text):
        values.append(ObjectId(text))
    if _WHOLE_NUMBER.fullmatch(text):
        values.append(int(text))
    if _UUID.fullmatch(text):
        values.append(UUID(text))
    return values


def id_condition(text: str) -> Any:
    """What a query compares an id's field with; text is only ever a value in it, never an operator."""
    values = id_values(text)
    return values[0] if len(values) == 1 else {"$in": values}


def is_storable(text: str) -> bool:
    """Whether BSON can hold the text at all: it cannot hold what a broken file name gives, a lone surrogate (FACTS A)."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
