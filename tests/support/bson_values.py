"""Values of every BSON type, with the odd ones of each, and documents that have one of them in any field."""

from __future__ import annotations

import copy
import struct
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import bson
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument

_HEX = "0123456789abcdef01234567"
_DEEP = 80
"""Levels: with the document's own, the server takes about 100."""


def raw(kind: int, payload: bytes) -> RawBSONDocument:
    """A document whose field `v` has a type that the driver cannot write."""
    body = bytes([kind]) + b"v\x00" + payload + b"\x00"
    return RawBSONDocument(struct.pack("<i", len(body) + 4) + body)


def _text(content: bytes) -> bytes:
    return struct.pack("<i", len(content) + 1) + content + b"\x00"


def _nested(inner: Any, wrap: Any) -> Any:
    for _ in range(_DEEP):
        inner = wrap(inner)
    return inner


NUMBERS: tuple[Any, ...] = (
    0, 1, -1, 2**31 - 1, Int64(2**63 - 1), Int64(-(2**63)), 0.0, -0.0, 1.5, 0.1 + 0.2, 1e300, 5e-324, float("nan"),
    float("inf"), float("-inf"),
    *(
        Decimal128(text)
        for text in (
            "NaN", "-Infinity", "Infinity", "1E+6111", "-9.999999999999999999999999999999999E+6144", "1E-6176", "0E+6111",
            "-0", "0E-6176", "0.1", "1234567890123456789012345678901234",
        )
    ),
)  # fmt: skip
TEXTS: tuple[str, ...] = (
    "", " ", "5", "1e300000000", "-1e300000000", "1e-300000000", "0e300000000", "1e99999999999999999999", "9" * 5_000,
    "0." + "1" * 5_000, "-1", "NaN", "Infinity", "1_000", "\u0661", "0x10", "\x00", "a\nb", "\x1b[31m\u202e", "=1+1",
    "| a |", "2026-03-02", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00", "\U0001f989", "x" * 100_000,
)  # fmt: skip
OTHERS: tuple[Any, ...] = (
    None, True, False, MinKey(), MaxKey(), Timestamp(0, 0), Timestamp(2**32 - 1, 2**32 - 1), Regex("(", "ims"), Code("x"),
    Code("x", {"a": 1}), b"", b"\x00\xff", ObjectId(_HEX), DBRef("c", 1), DBRef("c", ObjectId(_HEX), "d", extra=1),
    *(Binary(b"\x01" * 16, subtype) for subtype in (1, 2, 3, 4, 5, 6, 7, 8, 9, 128, 255)), Binary(b"\x01", 4),
    Binary.from_uuid(UUID(int=5)), datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
    datetime(2026, 3, 2, tzinfo=UTC), DatetimeMS(-(2**63)), DatetimeMS(2**63 - 1), DatetimeMS(253_402_300_800_000),
    [], [[]], {}, {"a": 1}, {"$gt": 1}, {"": 1}, {"a.b": 1}, {"$ref": 1}, {"total_tokens": -1}, [1, "1", None, {"a": []}],
    _nested(1, lambda inner: [inner]), _nested(1, lambda inner: {"a": inner}), [0.0] * 1_000,
)  # fmt: skip
RAW: tuple[RawBSONDocument, ...] = (
    raw(0x06, b""),  # undefined
    raw(0x0E, _text(b"symbol")),
    raw(0x0C, _text(b"c") + ObjectId(_HEX).binary),  # DBPointer
    raw(0x02, _text(b"\xff\xfe not UTF-8 \xed\xa0\x80")),
    raw(0x04, bson.encode({"0": 1, "2": 3})),  # an array with other keys
    raw(0x0B, b"a\x00zz\x00"),  # a regular expression with unknown options
)
VALUES: tuple[Any, ...] = (*NUMBERS, *TEXTS, *OTHERS, *RAW)


def with_value(document: dict[str, Any], path: str, value: Any) -> Any:
    """A copy with the value at a path, such as `messages.0.content`. Objects on the way are added."""
    changed = copy.deepcopy(document)
    *parents, last = path.split(".")
    place: Any = changed
    for name in parents:
        place = place[int(name)] if isinstance(place, list) else place.setdefault(name, {})
    key: Any = int(last) if isinstance(place, list) else last
    place[key] = _MARK if isinstance(value, RawBSONDocument) else value
    return RawBSONDocument(_encoded(changed, value)) if isinstance(value, RawBSONDocument) else changed


def raw_array(documents: list[Any]) -> bytes:
    """The BSON of an array of documents, some of which are raw."""
    parts = [each.raw if isinstance(each, RawBSONDocument) else bson.encode(each) for each in documents]
    return _framed(b"".join(b"\x03" + str(index).encode() + b"\x00" + part for index, part in enumerate(parts)))


_MARK = "@ here @"


def _framed(elements: bytes) -> bytes:
    return struct.pack("<i", len(elements) + 5) + elements + b"\x00"


def _encoded(place: dict[str, Any] | list[Any], value: RawBSONDocument) -> bytes:
    """The BSON of a document or list, with the element of a raw value where the mark is."""
    elements = b""
    for name, member in place.items() if isinstance(place, dict) else enumerate(place):
        key = str(name).encode() + b"\x00"
        if isinstance(member, dict | list):
            elements += (b"\x03" if isinstance(member, dict) else b"\x04") + key + _encoded(member, value)
        elif member == _MARK:
            elements += value.raw[4:5] + key + value.raw[7:-1]
        else:
            elements += bson.encode({str(name): member})[4:-1]
    return _framed(elements)
