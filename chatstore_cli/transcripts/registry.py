"""Every export format, by name. Adding one is its file, which makes rows of messages, and a line here."""

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
"""Messages in, pieces of a file out, as they come; what had to be repaired is counted on the way."""

_OPTIONS = orjson.OPT_UTC_Z


def _lines(batches: Callable[[Iterable[Message]], Iterator[list[Row]]]) -> Transcript:
    """A JSON object a line."""

    def written(messages: Iterable[Message], repairs: Repairs) -> Iterator[bytes]:
        dumps, options = orjson.dumps, _OPTIONS | orjson.OPT_APPEND_NEWLINE
        for batch in batches(messages):
            try:
                yield b"".join([dumps(row, as_text, options) for row in batch])
            except TypeError:
                yield b"".join([_encoded(row, repairs) + b"\n" for row in batch])

    return written


def _array(rows: Callable[[Iterable[Message], Repairs], Iterator[Row]]) -> Transcript:
    """One JSON array, an object a line."""

    def written(messages: Iterable[Message], repairs: Repairs) -> Iterator[bytes]:
        before = b"[\n"
        for row in rows(messages, repairs):
            yield before + _encoded(row, repairs)
            before = b",\n"
        yield b"[]\n" if before == b"[\n" else b"\n]\n"

    return written


def _encoded(row: Row, repairs: Repairs) -> bytes:
    try:
        return orjson.dumps(row, as_text, _OPTIONS)
    except TypeError:
        # orjson refuses integers beyond 64 bits and lone surrogates (FACTS A); only the latter cannot be written at all.
        repairs.count(Repair.TEXT_UNWRITABLE)
        return json_text(row).encode()


AG2 = "ag2"

TRANSCRIPTS: dict[str, Transcript] = {
    "jsonl": _lines(jsonl.rows),
    AG2: _array(ag2.rows),
    "openai": _array(openai.rows),
}
