"""A line that was corrected in its journal closes its entry; a line that was removed from it never does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chatstore_cli.mongo.connection import Connection
from tests.support.journals import as_line, flush, forget, quarantined, record, stored, wanted_of

CUT = as_line(record(3))[:60]
QUOTE = as_line(record(3, text="he said hi"))[:-1].replace(b"said hi", b'said "hi"')
LATIN = as_line(record(3, text="caf\xe9 closed"))[:-1].replace("é".encode(), b"\xe9")


def renamed(**names: str) -> dict[str, Any]:
    fields = record(3)
    return {names.get(name, name): value for name, value in fields.items()}


def flushed(memory: Connection, folder: Path, lines: list[bytes]) -> list[int]:
    """The numbers of the lines in quarantine after a flush of these lines."""
    (folder / "s.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    if (folder / ".chatstore").exists():
        forget(folder)
    flush(memory, folder)
    return [line.line for line in quarantined(folder)]


def line(number: int, **fields: Any) -> bytes:
    return as_line(record(number, **fields))[:-1]


@pytest.mark.parametrize(
    ("bad", "corrected"),
    [
        pytest.param(line(3, role="bot"), line(3), id="an unknown role"),
        pytest.param(line(3, role=None), line(3), id="no role"),
        pytest.param(line(3, created_at="02/03/2026"), line(3), id="a wrong time"),
        pytest.param(line(3, session_id=None), line(3), id="no session"),
        pytest.param(line(3, session_id=7), line(3, session="7"), id="a session that is a number"),
        pytest.param(line(3, text=None), line(3, text="filled in by hand"), id="no text"),
        pytest.param(json.dumps(renamed(text="content")).encode(), line(3), id="text under another name"),
        pytest.param(
            json.dumps(renamed(text="content", created_at="timestamp", session_id="sessionId", role="sender")).encode(),
            line(3),
            id="four other names",
        ),
        pytest.param(line(3, metadata=[1]), line(3), id="metadata that is a list"),
        pytest.param(line(3, role="bot", created_at="yesterday"), line(3), id="two faults"),
        pytest.param(CUT, line(3), id="cut off"),
        pytest.param(QUOTE, line(3, text='he said "hi"'), id="a quote that is not escaped"),
        pytest.param(LATIN, line(3, text="café closed"), id="not UTF-8"),
    ],
)
def test_a_corrected_line_closes_its_entry(memory: Connection, tmp_path: Path, bad: bytes, corrected: bytes):
    assert flushed(memory, tmp_path, [line(0), bad, line(4), b"torn"]) == [2, 4]
    assert flushed(memory, tmp_path, [line(0), corrected, line(4), b"torn"]) == [4]
    wanted = wanted_of([record(0), json.loads(corrected), record(4)])
    assert stored(memory.database) == wanted


@pytest.mark.parametrize("bad", [line(3, role="bot"), json.dumps(renamed(text="content")).encode(), QUOTE, LATIN])
def test_a_removed_line_keeps_its_entry(memory: Connection, tmp_path: Path, bad: bytes):
    """The line after it has its number by then, and even its second: whole seconds are common."""
    same_second = line(4, role="assistant", created_at=record(3)["created_at"])
    assert flushed(memory, tmp_path, [line(0), bad, same_second, line(6)]) == [2]
    assert flushed(memory, tmp_path, [line(0), same_second, line(6)]) == [2]


def test_a_line_whose_twin_is_good_keeps_its_entry(memory: Connection, tmp_path: Path):
    bad = line(3, role="bot")
    assert flushed(memory, tmp_path, [line(0), bad, line(3), bad]) == [2, 4]
    assert flushed(memory, tmp_path, [line(0), bad, line(3), bad, line(5)]) == [2, 4]


def test_lines_after_a_correction_that_joins_lines_are_found(memory: Connection, tmp_path: Path):
    whole = line(3, text="two lines")
    first, second = whole[:70], whole[70:]
    later = line(7, role="bot")
    assert flushed(memory, tmp_path, [first, second, line(4), later]) == [1, 2, 4]
    assert flushed(memory, tmp_path, [whole, line(4), line(7)]) == []


def test_a_line_that_a_correction_before_it_moved_is_in_quarantine_once(memory: Connection, tmp_path: Path):
    torn = [b"torn", b"torn", b"other"]
    assert flushed(memory, tmp_path, [line(3, role="bot"), *torn]) == [1, 2, 3, 4]
    assert flushed(memory, tmp_path, [line(3, role="assistant"), *torn]) == [2, 3, 4]


def test_a_second_wrong_correction_leaves_two_entries_and_the_right_one_closes_both(memory: Connection, tmp_path: Path):
    assert flushed(memory, tmp_path, [line(3, role="bot")]) == [1]
    assert flushed(memory, tmp_path, [line(3, role="robot")]) == [1, 1]
    assert flushed(memory, tmp_path, [line(3)]) == []
