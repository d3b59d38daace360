"""The messages of a document as stored bytes: they are copied without being decoded, so nothing in them changes.

That keeps values that Python cannot hold, or would write as another type (a date after the year 9999, an int as a long).
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from struct import Struct
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument

from chatstore_cli.mongo.bson_arrays import AT_ONCE, RAW, array_in, decoded, element_ends, value_in

_length = Struct("<i").pack
_ARRAY = b"\x04"


class RawDocument:
    """A document as the driver received it, with access to its array `messages`."""

    def __init__(self, document: RawBSONDocument) -> None:
        self.bytes = bytes(document.raw)
        start, end = array_in(self.bytes, "messages")
        self._ends = array("I", [start])
        self._ends.extend(element_ends(self.bytes, start, end))

    def __len__(self) -> int:
        """The number of messages."""
        return len(self._ends) - 1

    def value(self, field: str) -> Any:
        """A small field of the document; None if it has no such field."""
        return value_in(self.bytes, field)

    def message(self, position: int) -> tuple[int, bytes]:
        """One message: its BSON type and its bytes."""
        start, end = self._ends[position], self._ends[position + 1]
        return self.bytes[start], self.bytes[self.bytes.index(0, start) + 1 : end]

    def size(self, position: int) -> int:
        """The size of one message in bytes."""
        return self._ends[position + 1] - self._ends[position]

    def values(self, field: str) -> list[Any]:
        """The value of a field in each message; None if a message has no such field."""
        values: list[Any] = []
        for start in range(0, len(self), AT_ONCE):
            messages = decoded(self.bytes[self._ends[start] : self._ends[min(start + AT_ONCE, len(self))]])
            values += [message.get(field) if isinstance(message, dict) else None for message in messages]
        return values

    def array_of(self, positions: Sequence[int]) -> bytes:
        """An array of the messages at these positions, in their order."""
        if list(positions) == list(range(len(positions))):
            elements = self.bytes[self._ends[0] : self._ends[len(positions)]]
        else:
            elements = b"".join(
                bytes([kind]) + str(index).encode() + b"\0" + body
                for index, (kind, body) in enumerate(map(self.message, positions))
            )
        return _length(len(elements) + 5) + elements + b"\0"


def with_messages(fields: dict[str, Any], messages: bytes, name: str = "messages") -> RawBSONDocument:
    """A document with these fields, followed by an array given as bytes."""
    inner = bson.encode(fields)[4:-1] + _ARRAY + name.encode() + b"\0" + messages
    return RawBSONDocument(_length(len(inner) + 5) + inner + b"\0", RAW)
