"""Decoding journal lines, and saving what can be saved of damaged ones (FACTS F: torn lines, two records on one)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import orjson

from chatstore_cli.domain.journal import flaw_of
from chatstore_cli.domain.storing import Piece

loads = orjson.loads

_RECORD_START = re.compile(r'\{\s*"')
_ATTEMPTS = 1000
_READ_AT_MOST = 256 * 1024 * 1024
"""Starts of a record that are tried in one damaged line, and bytes read over them: what hostile text may cost."""


def decode_flaw(line: bytes) -> str:
    """Why a line does not decode, in words."""
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
        return "holds a lone surrogate, which no database text can"
    return "not JSON that can be stored"


def lost_digits(line: bytes) -> bool:
    """Whether the line holds an integer of more than 64 bits, which decoding silently made a float."""
    found = False

    def read_integer(digits: str) -> int:
        nonlocal found
        value = int(digits) if len(digits) < 40 else 1 << 200
        found = found or not -(2**63) <= value < 2**64
        return value

    json.loads(line, parse_int=read_integer)
    return found


def salvage(line: bytes) -> Iterator[Piece]:
    """The records that a damaged line holds whole, and the stretches between them, in order.

    A record is an object that would be stored if it stood on a line of its own; it may follow a torn prefix, and
    several may be fused. Yields a single flawed piece where nothing can be saved.
    """
    text = line.decode("utf-8", errors="surrogateescape")
    decoder = json.JSONDecoder(parse_constant=_no_constant)
    done = 0
    saved = False
    attempts = 0
    allowed = min(_ATTEMPTS, max(8, _READ_AT_MOST // (len(line) + 1)))
    searched = 0
    while attempts < allowed and (match := _RECORD_START.search(text, searched)):
        attempts += 1
        start = match.start()
        record = _whole_record(decoder, text, start)
        if record is None:
            searched = start + 1
            continue
        yield from _damaged(text, done, start, "torn: the line was cut off here")
        yield Piece(_bytes_before(text, start), record[1], None)
        saved = True
        done = searched = record[0]
    if not saved:
        yield Piece(0, line, decode_flaw(line))
        return
    yield from _damaged(text, done, len(text), "torn: what follows the last whole record of the line")


def _whole_record(decoder: json.JSONDecoder, text: str, start: int) -> tuple[int, bytes] | None:
    try:
        _, end = decoder.raw_decode(text, start)
        raw = text[start:end].encode("utf-8", errors="surrogateescape")
        fields: Any = orjson.loads(raw)
    except (ValueError, RecursionError):
        return None
    return (end, raw) if flaw_of(fields) is None else None


def _damaged(text: str, start: int, end: int, flaw: str) -> Iterator[Piece]:
    stretch = text[start:end]
    if stretch.strip(" \t\r\n"):
        yield Piece(_bytes_before(text, start), stretch.encode("utf-8", errors="surrogateescape"), flaw)


def _bytes_before(text: str, position: int) -> int:
    return len(text[:position].encode("utf-8", errors="surrogateescape"))


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
