"""The array of a large document, read a piece at a time.

A document may hold 16 MiB of messages, which as Python objects are 150 MiB: more than a command may take. So the server
cuts the array into windows, these stay raw, and only a hundred elements at a time become objects. So few at a time are
also decoded twice as fast: they never leave the processor's cache, nor come into the garbage collector's sight.
"""

from __future__ import annotations

import tempfile
from array import array as typed_array
from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Any, NamedTuple

import bson
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import InvalidBSON
from pymongo.collection import Collection

from chatstore_cli.domain.errors import Conflict

Document = dict[str, Any]

WINDOW_BYTES = 4 << 20
"""About how much of a document one answer of the server brings; three copies of it exist for a moment."""

FIRST_WINDOW = 2_000
AT_ONCE = 100
BYTES_AT_ONCE = 1 << 16
SPOOL_BYTES = 4 << 20

# Dates come naive, which is the fastest, and are UTC; those that Python cannot hold come as milliseconds.
_OPTIONS: CodecOptions[Document] = CodecOptions(
    unicode_decode_error_handler="replace", datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
_INT32 = Struct("<i")
_length_at = _INT32.unpack_from


class _Window(NamedTuple):
    """A raw document, and where in it the wanted elements stand, one after another."""

    raw: bytes
    start: int
    end: int


class StoredArray:
    """The array `field` of one document. Elements that are appended while it is read are not seen."""

    def __init__(self, collection: Collection[Document], document_id: Any, field: str, *, in_memory: bool) -> None:
        self._collection = collection
        self._match = {"$match": {"_id": document_id}}
        self._field = field
        self._path = f"${field}"
        self._held = _held(collection, document_id, field) if in_memory else None

    def values(self, path: str) -> list[Any]:
        """What every element has at a path, None where it has nothing: one small answer, however large the array."""
        if self._held is not None:
            return [_at(element, path.split(".")) for element in self._held]
        is_array = {"$isArray": self._path}
        count = {"$cond": [is_array, {"$size": self._path}, 0]}
        found = self._project({"count": count, "values": f"{self._path}.{path}"})
        values = found.get("values")
        if not found.get("count"):
            return []
        if isinstance(values, list) and len(values) == found["count"]:
            return values
        # A path leaves out the elements that have nothing there; to map each of them takes the server twice as long.
        mapped = {"$map": {"input": self._path, "in": {"$ifNull": [f"$$this.{path}", None]}}}
        return list(self._project({"values": {"$cond": [is_array, mapped, []]}}).get("values") or [])

    def read(self, positions: Sequence[int]) -> Iterator[list[Any]]:
        """The elements at these positions, decoded, a few at a time. Raises Conflict where the array was rewritten."""
        return self._in_place(positions) if isinstance(positions, range) else self._out_of_order(positions)

    def _in_place(self, positions: range) -> Iterator[list[Any]]:
        for raw, start, end in self._windows(positions.start, positions.stop):
            run_start = start
            for count, run_end in enumerate(_element_ends(raw, start, end), 1):
                if count % AT_ONCE == 0 or run_end - run_start > BYTES_AT_ONCE or run_end == end:
                    yield _decoded(raw[run_start:run_end])
                    run_start = run_end

    def _out_of_order(self, positions: Sequence[int]) -> Iterator[list[Any]]:
        # All elements are kept raw, in a file where they are many, and fetched from there in the order asked for.
        offsets = typed_array("Q", [0])
        with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES) as spool:
            for raw, start, end in self._windows(0, max(positions, default=-1) + 1):
                base = offsets[-1] - start
                offsets.extend(base + element_end for element_end in _element_ends(raw, start, end))
                spool.write(memoryview(raw)[start:end])
            for at in range(0, len(positions), AT_ONCE):
                run = []
                for position in positions[at : at + AT_ONCE]:
                    spool.seek(offsets[position])
                    run.append(spool.read(offsets[position + 1] - offsets[position]))
                yield _decoded(b"".join(run))

    def _windows(self, start: int, stop: int) -> Iterator[_Window]:
        if self._held is not None:
            raw = bson.encode({"window": self._held[start:stop]})
            yield _Window(raw, *_array_in(raw, "window"))
            return
        array = {"$cond": [{"$isArray": self._path}, self._path, []]}
        first_seen: bytes | None = None
        size = FIRST_WINDOW
        while start < stop:
            size = min(size, stop - start)
            projection = {"first": {"$slice": [array, 1]}, "window": {"$slice": [array, start, size]}}
            batches = self._collection.aggregate_raw_batches([self._match, {"$project": projection}])
            batch = next(iter(batches), b"")
            assert isinstance(batch, bytes)  # what its type says is what other cursors give
            raw = batch
            if not raw:
                raise self._rewritten()
            first = raw[slice(*_array_in(raw, "first"))]
            window = _Window(raw, *_array_in(raw, "window"))
            if (first_seen is not None and first != first_seen) or window.start == window.end:
                raise self._rewritten()
            first_seen = first
            yield window
            start += size
            size = max(1, size * WINDOW_BYTES // len(raw))

    def _project(self, fields: Document) -> Document:
        return next(iter(self._collection.aggregate([self._match, {"$project": {"_id": 0, **fields}}])), {})

    def _rewritten(self) -> Conflict:
        what = f"{self._collection.name}: a document was rewritten while its {self._field} were being read."
        return Conflict(what=what, hint="Run it again.")


def _held(collection: Collection[Document], document_id: Any, field: str) -> list[Any]:
    # mongomock has no raw documents; its own are encoded, so that everything after that is the same.
    found = (collection.find_one({"_id": document_id}, {field: 1}) or {}).get(field)
    return found if isinstance(found, list) else []


def _at(element: Any, steps: Sequence[str]) -> Any:
    for step in steps:
        element = element.get(step) if isinstance(element, dict) else None
    return element


# --- BSON ------------------------------------------------------------------------------------------------------------

_DOCUMENT = 0x03
_FIXED_SIZES = {
    0x01: 8, 0x06: 0, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8, 0x13: 16, 0x7F: 0, 0xFF: 0,
}  # fmt: skip
_LENGTH_PREFIXED = {0x02: 4, 0x03: 0, 0x04: 0, 0x05: 5, 0x0C: 16, 0x0D: 4, 0x0E: 4, 0x0F: 0}
"""Type -> bytes that the length in front does not count."""


def _element_ends(raw: bytes, start: int, end: int) -> Iterator[int]:
    """Where each element of a document or array ends; the first begins at `start`. See bsonspec.org."""
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
        elif kind == 0x0B:  # a regular expression: two texts, each with a zero byte behind it
            start = name_end(0, name_end(0, value) + 1) + 1
        else:
            raise InvalidBSON(f"an element of unknown type {kind:#04x}")
        yield start


def _array_in(raw: bytes, field: str) -> tuple[int, int]:
    """Where the elements of an array field of a document begin and end; nothing where it is none."""
    header = b"\x04" + field.encode() + b"\x00"
    start = 4
    for end in _element_ends(raw, 4, len(raw) - 1):
        if raw.startswith(header, start):
            return start + len(header) + 4, end - 1
        start = end
    return 0, 0


def _decoded(run: bytes) -> list[Any]:
    """Elements that stand one after another, as the list that they would be in a document."""
    elements = _INT32.pack(len(run) + 5) + run + b"\x00"
    document = _INT32.pack(len(elements) + 8) + b"\x04a\x00" + elements + b"\x00"
    decoded: list[Any] = bson.decode(document, _OPTIONS)["a"]  # the decoder does not look at an array's names
    return decoded
