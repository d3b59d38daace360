"""Decodes journal lines, and salvages the whole records of damaged lines.

A crash can cut a line off, and two writers without a lock can write two records on one line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import orjson

from chatstore_cli.domain.journal import flaw_of
from chatstore_cli.domain.message_store import Piece

loads = orjson.loads

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
    if _has_surrogate(value):
        return "holds a lone surrogate, which MongoDB cannot store"
    return "JSON that cannot be stored"


def lost_digits(line: bytes) -> bool:
    """Whether the line holds an integer of more than 64 bits, which the decoder silently turned into a float."""
    found = False

    def read_integer(digits: str) -> int:
        nonlocal found
        value = int(digits) if len(digits) < 40 else 1 << 200
        found = found or not -(2**63) <= value < 2**64
        return value

    try:
        json.loads(line, parse_int=read_integer)
    except RecursionError:
        return False  # MongoDB refuses it, because it is nested too deeply
    return found


def salvage(line: bytes) -> Iterator[Piece]:
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
        if not _is_record(raw):
            continue
        if _is_inside_another(text, done, start, end):
            failures += 1
            continue
        before = _as_bytes(text[done:start])
        yield from _damaged(before, bytes_done, "incomplete: the line was cut off here")
        yield Piece(bytes_done + len(before), raw, None)
        saved = True
        done, bytes_done = end, bytes_done + len(before) + len(raw)
    if not saved:
        yield Piece(0, line, decode_flaw(line))
        return
    yield from _damaged(line[bytes_done:], bytes_done, "incomplete: the rest after the last whole record of the line")


def _end_of_object(text: str, start: int) -> int | None:
    try:
        return _LENIENT.raw_decode(text, start)[1]
    except (ValueError, RecursionError):
        return None


def _is_record(raw: bytes) -> bool:
    try:
        return flaw_of(orjson.loads(raw)) is None
    except ValueError:
        return False


def _is_inside_another(text: str, done: int, start: int, end: int) -> bool:
    following = _NOT_SPACE.search(text, end)
    return following is not None and following[0] in ",}]" and text.find("{", done, start) >= 0


def _damaged(part: bytes, offset: int, cut_off: str) -> Iterator[Piece]:
    if part.strip(b" \t\r\n"):
        yield Piece(offset, part, _flaw_of_whole(part) or cut_off)


def _flaw_of_whole(part: bytes) -> str | None:
    text = part.decode("utf-8", errors="surrogateescape").strip()
    if _end_of_object(text, 0) != len(text):
        return None
    try:
        return flaw_of(orjson.loads(part))
    except ValueError:
        return decode_flaw(part)


def _as_bytes(text: str) -> bytes:
    return text.encode("utf-8", errors="surrogateescape")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _has_surrogate(value: Any) -> bool:
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            try:
                item.encode()
            except UnicodeEncodeError:
                return True
        elif isinstance(item, dict):
            pending.extend(item)
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
    return False
