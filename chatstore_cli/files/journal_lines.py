"""Decodes journal lines, and salvages the whole records of damaged lines.

A crash can cut a line off, and two writers without a lock can write two records on one line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import orjson

from chatstore_cli.domain.field_mapping import FieldMapping
from chatstore_cli.domain.journal import KNOWN_FIELDS, JournalRecord, flaw_of, may_have_lost_digits
from chatstore_cli.domain.message_store import Piece
from chatstore_cli.domain.storable_values import NUMBER_KEPT_AS_TEXT, Alterations, storable_value

loads = orjson.loads

PADDING = b" \t\r\n\x00\x1e,\xef\xbb\xbf"
"""Bytes between records that say nothing: space, NUL (a file system after a crash), RS (JSON text sequences), a comma (a
list, written record by record) and a byte order mark (files that were joined)."""
_NOT_AN_OBJECT = "not a JSON object"
_DIGITS_OF_64_BITS = len(str(-(2**63)))
_QUOTED_NAMES = tuple((name, f'"{name}"'.encode()) for name in KNOWN_FIELDS)

_RECORD_START = re.compile(r'\{\s*"')
_NOT_SPACE = re.compile(r"\S")
_LENIENT = json.JSONDecoder()
_MOST_FAILED_STARTS = 1000
_MOST_BYTES_DECODED = 256 * 1024 * 1024
"""Limits for one damaged line, so that hostile text cannot cost much time."""


def dumps(fields: dict[str, Any]) -> bytes:
    """A line without its line feed. Raises ValueError if something in it cannot be JSON or UTF-8."""
    try:
        return orjson.dumps(fields)
    except TypeError as error:  # orjson's own error is one
        raise ValueError("a lone surrogate" if "surrogate" in str(error) else str(error)) from error


def decode_flaw(line: bytes) -> str:
    """Why a line cannot be decoded."""
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        return f"not UTF-8 at byte {error.start} of the line"
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except ValueError as error:
        return f"not JSON: {str(error).partition(chr(10))[0]}"
    except RecursionError:
        return "nested too deeply"
    return "JSON that cannot be stored" if isinstance(value, dict) else _NOT_AN_OBJECT


def read_record(raw: bytes, mapping: FieldMapping | None = None) -> JournalRecord:
    """The record of a line or a part of one. `mapping` is of the journals of another application.

    Values that MongoDB cannot store are replaced, as those of AG2's events are: a message is not lost because of one
    number in it. A key that occurs twice is a flaw, because it cannot be known which value is right.
    """
    try:
        fields = loads(raw)
    except ValueError:
        return _read_leniently(raw, mapping)
    if type(fields) is not dict:
        return JournalRecord(None, _NOT_AN_OBJECT)
    if (key := _repeated_key(raw, mapping)) is not None:
        return JournalRecord(fields, f'the key "{key}" occurs more than once')
    if may_have_lost_digits(fields):
        return _read_leniently(raw, mapping)
    if mapping is not None:
        fields = mapping.apply(fields)
    alterations = Alterations()
    return JournalRecord(fields, flaw_of(fields, alterations), alterations.kinds())


def _read_leniently(raw: bytes, mapping: FieldMapping | None) -> JournalRecord:
    """The record of a line that has numbers or characters which strict JSON or MongoDB does not have."""
    alterations = Alterations()
    try:
        decoded = json.loads(raw.decode(), parse_int=partial(_integer, alterations=alterations))
    except (ValueError, RecursionError):
        return JournalRecord(None, decode_flaw(raw))
    if not isinstance(decoded, dict):
        return JournalRecord(None, _NOT_AN_OBJECT)
    if (key := _repeated_key(raw, mapping)) is not None:
        return JournalRecord(decoded, f'the key "{key}" occurs more than once')
    fields: dict[str, Any] = storable_value(decoded, alterations)
    if mapping is not None:
        fields = mapping.apply(fields)
    flaw = flaw_of(fields, alterations)
    return JournalRecord(fields, flaw, alterations.kinds())


def _integer(digits: str, alterations: Alterations) -> int | str:
    # Python reads at most 4,300 digits, and MongoDB stores 64 bits.
    if len(digits) > _DIGITS_OF_64_BITS or not -(2**63) <= int(digits) < 2**63:
        alterations.add(NUMBER_KEPT_AS_TEXT)
        return digits
    return int(digits)


def _repeated_key(raw: bytes, mapping: FieldMapping | None) -> str | None:
    """The first field that occurs twice in a record, among those that chatstore reads."""
    suspects = [name for name, quoted in _QUOTED_NAMES if raw.count(quoted) > 1]
    if mapping is not None:
        suspects += [name for name in mapping.names if raw.count(orjson.dumps(name)) > 1]
    if not suspects:
        return None
    keys: list[str] = []

    def note_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys[:] = [key for key, _ in pairs]  # the outermost object is complete last
        return dict(pairs)

    try:
        json.loads(raw, object_pairs_hook=note_keys)
    except (ValueError, RecursionError):
        return None
    return next((name for name in suspects if keys.count(name) > 1), None)


def salvage(line: bytes, mapping: FieldMapping | None = None) -> Iterator[Piece]:
    """The whole records of a damaged line, and the parts between them, in order.

    A record is an object that would be stored if it had a line of its own. It may follow a record that was cut off, and
    several may be on one line. An object inside another object is never a record: a user may have sent it, and it could
    name any session. Yields a single flawed piece if nothing can be salvaged.
    """
    text = line.decode("utf-8", errors="surrogateescape")
    allowed = min(_MOST_FAILED_STARTS, max(8, _MOST_BYTES_DECODED // (len(line) + 1)))
    done = bytes_done = searched = failures = 0
    saved = False
    while failures < allowed and (match := _RECORD_START.search(text, searched)):
        start = match.start()
        end = _end_of_object(text, start)
        if end is None:
            failures += 1
            searched = start + 1
            continue
        searched = end
        raw = _as_bytes(text[start:end])
        if not _is_record(raw, mapping):
            continue
        if _is_inside_another(text, done, start, end):
            failures += 1
            continue
        before = _as_bytes(text[done:start])
        yield from _damaged(before, bytes_done, "incomplete: the line was cut off here", mapping)
        yield Piece(bytes_done + len(before), raw, None)
        saved = True
        done, bytes_done = end, bytes_done + len(before) + len(raw)
    if not saved:
        yield Piece(0, line, decode_flaw(line))
        return
    rest = "incomplete: the rest after the last whole record of the line"
    yield from _damaged(line[bytes_done:], bytes_done, rest, mapping)


def _end_of_object(text: str, start: int) -> int | None:
    try:
        return _LENIENT.raw_decode(text, start)[1]
    except (ValueError, RecursionError):
        return None


def _is_record(raw: bytes, mapping: FieldMapping | None) -> bool:
    record = read_record(raw, mapping)
    return record.fields is not None and record.flaw is None


def _is_inside_another(text: str, done: int, start: int, end: int) -> bool:
    following = _NOT_SPACE.search(text, end)
    return following is not None and following[0] in ",}]" and text.find("{", done, start) >= 0


def _damaged(part: bytes, offset: int, cut_off: str, mapping: FieldMapping | None) -> Iterator[Piece]:
    if part.strip(PADDING):
        yield Piece(offset, part, _flaw_of_whole(part, mapping) or cut_off)


def _flaw_of_whole(part: bytes, mapping: FieldMapping | None) -> str | None:
    text = part.decode("utf-8", errors="surrogateescape").strip()
    if _end_of_object(text, 0) != len(text):
        return None
    return read_record(part, mapping).flaw


def _as_bytes(text: str) -> bytes:
    return text.encode("utf-8", errors="surrogateescape")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
