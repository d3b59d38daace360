"""The array of a large document, decoded a few elements at a time.

A document can hold 16 MiB of messages, which as Python objects take 150 MiB: more than a command may use. The array
therefore stays raw, as the driver received it, and a hundred elements at a time become objects. This is also twice as
fast, because so few objects stay in the processor's cache and do not trigger the garbage collector.
"""

from __future__ import annotations

from array import array as typed_array
from collections.abc import Iterator, Sequence
from itertools import islice
from struct import Struct
from typing import Any

import bson
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import InvalidBSON
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection

from chatstore_cli.domain.errors import Conflict

Document = dict[str, Any]


class MovedOn(Conflict):
    """{what}"""


class Rewritten(Conflict):
    """{what}"""


AT_ONCE = 100
BYTES_AT_ONCE = 1 << 16

# Dates are naive, which is the fastest, and in UTC. Dates that Python cannot hold become milliseconds.
_OPTIONS: CodecOptions[Document] = CodecOptions(
    unicode_decode_error_handler="replace",
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)
_FASTER_OPTIONS: CodecOptions[Document] = CodecOptions()
RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
"""Documents as the driver received them."""

_INT32 = Struct("<i")
_length_at = _INT32.unpack_from


class StoredArray:
    """The array `field` of one document. Elements that are appended while it is read are not seen.

    `version` names a field of the document that changes if elements are removed. `.version` is its value after the first
    answer; an answer with another value raises MovedOn. If the document was changed otherwise between two answers, that
    raises Rewritten. After `hold` there is only one answer.
    """

    def __init__(
        self, collection: Collection[Document], document_id: Any, field: str, *, in_memory: bool, version: str = "_id"
    ) -> None:
        self._name = collection.name
        self._field = field
        self._match = {"$match": {"_id": document_id}}
        self._held = _held(collection, document_id, field) if in_memory else None
        self._collection = collection
        self._array = {"$cond": [{"$isArray": f"${field}"}, f"${field}", []]}
        marks = [{"$bsonSize": "$$e"}, *(f"$$e.{name}" for name in _MARKS)]
        # A path into an array would return the values of the documents in it.
        first_marks = {"$cond": [{"$eq": [{"$type": "$$e"}, "object"]}, marks, [None] * len(marks)]}
        self._marks = {"$let": {"vars": {"e": {"$arrayElemAt": [self._array, 0]}}, "in": first_marks}}
        self._whole: tuple[bytes, int, int] | None = None
        self._first: str | None = None
        self._count = 0
        self._values: dict[str, list[Any]] = {}
        self._version_field = version
        self._version_known = False
        self.version: Any = None
        if in_memory:
            self.version = (collection.find_one({"_id": document_id}, {version: 1}) or {}).get(version)

    def hold(self) -> None:
        """Fetch the whole array now, so that it cannot change later: for documents that change all the time."""
        if self._held is None:
            self._whole = self._fetched()

    def values(self, path: str) -> list[Any]:
        """The value of every element at a path, None if it has none. One small answer, however large the array."""
        if self._held is not None:
            return [_value_at(element, path.split(".")) for element in self._held]
        if path not in self._values:
            self._values[path] = (
                self._queried(path) if self._whole is None else _values_in(*self._whole, path.split("."))
            )
        return self._values[path]

    def _queried(self, path: str) -> list[Any]:
        found = self._small_answer({"count": {"$size": self._array}, "values": f"${self._field}.{path}"})
        self._count = found["count"]
        values = found.get("values") if self._count else []
        if not isinstance(values, list) or len(values) != self._count:
            # A path omits the elements without a value. To map every element takes the server twice as long.
            mapped = {"$map": {"input": self._array, "in": {"$ifNull": [f"$$this.{path}", None]}}}
            values = self._small_answer({"values": mapped})["values"]
        return list(values)

    def read(self, positions: Sequence[int]) -> Iterator[list[Any]]:
        """The elements at these positions, decoded, a few at a time. Raises Rewritten if the array was rewritten.

        All of them are fetched at once, so later changes do not affect them. A Conflict during the iteration (the array
        became shorter) cannot be retried, because some elements may have been returned already.
        """
        if not positions:
            return iter(())
        if isinstance(positions, range):
            return self._in_place(positions, *self._window(positions.start, len(positions)))
        count = max(positions) + 1
        raw, start, end = self._window(0, count)
        ends = typed_array("I", [start])
        ends.extend(element_ends(raw, start, end))
        if len(ends) <= count:
            raise self._rewritten()
        return self._out_of_order(positions, raw, ends)

    def _in_place(self, positions: range, raw: bytes, start: int, end: int) -> Iterator[list[Any]]:
        count = 0
        for count, element_end in enumerate(islice(element_ends(raw, start, end), len(positions)), 1):
            if count % AT_ONCE == 0 or element_end - start > BYTES_AT_ONCE or count == len(positions):
                yield decoded(raw[start:element_end])
                start = element_end
        if count < len(positions):
            error = self._rewritten()
            raise Conflict(what=error.message, hint=error.hint)

    @staticmethod
    def _out_of_order(positions: Sequence[int], raw: bytes, ends: Sequence[int]) -> Iterator[list[Any]]:
        for first in range(0, len(positions), AT_ONCE):
            run = (raw[ends[position] : ends[position + 1]] for position in positions[first : first + AT_ONCE])
            yield decoded(b"".join(run))

    def _window(self, start: int, size: int) -> tuple[bytes, int, int]:
        """A raw document, and the bytes in it where these elements begin and end; other elements may follow them."""
        if self._held is not None:
            raw = bson.encode({"window": self._held[start : start + size]})
            return raw, *array_in(raw, "window")
        if self._whole is not None:
            raw, first, end = self._whole
            return raw, next(islice(element_ends(raw, first, end), start - 1, None), end) if start else first, end
        if start == 0 and size == self._count:
            return self._fetched()
        window = {"$slice": [self._array, start, size]}
        raw = self._answer({"version": f"${self._version_field}", "first": self._marks, "window": window})
        self._check_version(value_in(raw, "version"))
        self._check_first(decoded(raw[slice(*array_in(raw, "first"))]))
        return raw, *array_in(raw, "window")

    def _fetched(self) -> tuple[bytes, int, int]:
        # A plain projection sends the array as it is stored, in half the time of any expression.
        raw = self._answer({self._field: 1, self._version_field: 1})
        self._check_version(value_in(raw, self._version_field))
        first, end = array_in(raw, self._field)
        self._check_first(_marks_of(raw, first, end))
        return raw, first, end

    def _small_answer(self, fields: Document) -> Document:
        version = {"version": f"${self._version_field}"}
        found = bson.decode(self._answer({**version, "first": self._marks, **fields}), _OPTIONS)
        self._check_version(found.get("version"))
        self._check_first(found["first"])
        return found

    def _answer(self, fields: Document) -> bytes:
        projection = {"$project": {"_id": 0, **fields}}
        raw = self._collection.with_options(codec_options=RAW)
        found = next(iter(raw.aggregate([self._match, projection])), None)
        if found is None:
            raise self._rewritten()
        return found.raw if isinstance(found.raw, bytes) else bytes(found.raw)  # newer drivers give a view

    def _check_version(self, version: Any) -> None:
        if self._version_known and repr(version) != repr(self.version):
            raise MovedOn(
                what=f"{self._name}: the oldest {self._field} of a document were moved.", hint="Run the command again."
            )
        self._version_known, self.version = True, version

    def _check_first(self, marks: list[Any]) -> None:
        """Raises Rewritten if the first element is another one, because then all positions have changed."""
        if self._first is not None and repr(marks) != self._first:
            raise self._rewritten()
        self._first = repr(marks)

    def _rewritten(self) -> Rewritten:
        what = f"{self._name}: a document was rewritten while its {self._field} were being read."
        return Rewritten(what=what, hint="Run the command again.")


def _held(collection: Collection[Document], document_id: Any, field: str) -> list[Any]:
    # mongomock has no raw documents. Its documents are encoded, so that the rest of the code is the same.
    found = (collection.find_one({"_id": document_id}, {field: 1}) or {}).get(field)
    return found if isinstance(found, list) else []


def _value_at(element: Any, steps: Sequence[str]) -> Any:
    for step in steps:
        element = element.get(step) if isinstance(element, dict) else None
    return element


def _values_in(raw: bytes, start: int, end: int, steps: Sequence[str]) -> list[Any]:
    found: list[Any] = []
    ends = list(element_ends(raw, start, end))
    for run_end in [*ends[AT_ONCE - 1 :: AT_ONCE], *ends[-1:]]:
        found += [_value_at(element, steps) for element in decoded(raw[start:run_end])]
        start = run_end
    return found


_MARKS = ("event_id", "sequence", "timestamp")
"""With its size, these fields identify an element. The element itself may be as large as a document."""


def _marks_of(raw: bytes, start: int, end: int) -> list[Any]:
    """The marks of the first element, as the server returns them; empty if there is no element."""
    for first_end in element_ends(raw, start, end):
        (element,) = decoded(raw[start:first_end])
        if not isinstance(element, dict):
            return [None] * (1 + len(_MARKS))
        return [_length_at(raw, raw.index(0, start) + 1)[0], *(element.get(name) for name in _MARKS)]
    return []


# --- BSON ------------------------------------------------------------------------------------------------------------

_DOCUMENT = 0x03
_FIXED_SIZES = {
    0x01: 8, 0x06: 0, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8, 0x13: 16, 0x7F: 0, 0xFF: 0,
}  # fmt: skip
_LENGTH_PREFIXED = {0x02: 4, 0x03: 0, 0x04: 0, 0x05: 5, 0x0C: 16, 0x0D: 4, 0x0E: 4, 0x0F: 0}
"""By type, the bytes that the length prefix does not count."""


def element_ends(raw: bytes, start: int, end: int) -> Iterator[int]:
    """The end of each element of a document or array; the first element begins at `start`. See bsonspec.org."""
    name_end = raw.index
    while start < end:
        kind = raw[start]
        value = name_end(0, start) + 1
        if kind == _DOCUMENT:
            start = value + _length_at(raw, value)[0]
        elif kind in _LENGTH_PREFIXED:
            start = value + _length_at(raw, value)[0] + _LENGTH_PREFIXED[kind]
        elif kind in _FIXED_SIZES:
            start = value + _FIXED_SIZES[kind]
        elif kind == 0x0B:  # a regular expression: two texts, each with a zero byte at the end
            start = name_end(0, name_end(0, value) + 1) + 1
        else:
            raise InvalidBSON(f"an element of unknown type {kind:#04x}")
        yield start


def array_in(raw: bytes, field: str) -> tuple[int, int]:
    """The beginning and the end of the elements of an array field; (0, 0) if the field is not an array."""
    header = b"\x04" + field.encode() + b"\x00"
    start = 4
    for end in element_ends(raw, 4, len(raw) - 1):
        if raw.startswith(header, start):
            return start + len(header) + 4, end - 1
        start = end
    return 0, 0


def value_in(raw: bytes, field: str) -> Any:
    """The value of a small field of a document; None if the field is missing."""
    start = 4
    for end in element_ends(raw, 4, len(raw) - 1):
        if raw[start + 1 : raw.index(0, start + 1)] == field.encode():
            return decoded(raw[start:end])[0]
        start = end
    return None


def decoded(run: bytes) -> list[Any]:
    """The list of elements that follow one another in `run`."""
    elements = _INT32.pack(len(run) + 5) + run + b"\x00"
    document = _INT32.pack(len(elements) + 8) + b"\x04a\x00" + elements + b"\x00"
    try:  # the decoder ignores the names of array elements
        decoded: list[Any] = bson.decode(document, _FASTER_OPTIONS)["a"]
    except (InvalidBSON, OverflowError):
        decoded = bson.decode(document, _OPTIONS)["a"]
    return decoded
