"""Every export format by name. A new format is one file, which turns messages into rows, and one line here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from chatstore_cli.domain.content import as_text, json_text
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.workflow.repairs import Repair, Repairs
from chatstore_cli.transcripts import ag2, jsonl, openai

Row = dict[str, Any]
Transcript = Callable[[Iterable[Message], Repairs], Iterator[bytes]]
"""Turns messages into pieces of a file, one piece at a time, and counts repairs."""

_OPTIONS = orjson.OPT_UTC_Z
_LINE_ENDS = tuple((character.encode(), f"\\u{ord(character):04x}".encode()) for character in "\u0085\u2028\u2029")


def _lines(batches: Callable[[Iterable[Message]], Iterator[list[Row]]]) -> Transcript:
    """A transcript with one JSON object per line."""

    def transcript(messages: Iterable[Message], repairs: Repairs) -> Iterator[bytes]:
        dumps, options = orjson.dumps, _OPTIONS | orjson.OPT_APPEND_NEWLINE
        for batch in batches(messages):
            try:
                yield _one_line_each(b"".join([dumps(row, as_text, options) for row in batch]))
            except TypeError:
                yield b"".join([_encoded(row, repairs) + b"\n" for row in batch])

    return transcript


def _array(rows: Callable[[Iterable[Message], Repairs], Iterator[Row]]) -> Transcript:
    """A transcript that is one JSON array, with one object per line."""

    def transcript(messages: Iterable[Message], repairs: Repairs) -> Iterator[bytes]:
        separator = b"[\n"
        for row in rows(messages, repairs):
            yield separator + _encoded(row, repairs)
            separator = b",\n"
        yield b"[]\n" if separator == b"[\n" else b"\n]\n"

    return transcript


def _encoded(row: Row, repairs: Repairs) -> bytes:
    try:
        return _one_line_each(orjson.dumps(row, as_text, _OPTIONS))
    except TypeError:
        # orjson rejects integers over 64 bits and lone surrogates. Only surrogates cannot be written and count as a repair.
        repairs.count(Repair.TEXT_UNWRITABLE)
        return _one_line_each(json_text(row).encode())


def _one_line_each(text: bytes) -> bytes:
    """JSON without the characters that some readers take for the end of a line; they are only in strings there."""
    for character, escape in _LINE_ENDS:
        if character in text:
            text = text.replace(character, escape)
    return text


AG2 = "ag2"

TRANSCRIPTS: dict[str, Transcript] = {
    "jsonl": _lines(jsonl.rows),
    AG2: _array(ag2.rows),
    "openai": _array(openai.rows),
}
