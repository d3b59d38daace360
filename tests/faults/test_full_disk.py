"""A full disk, and a read-only disk: nothing is lost, and the next run stores the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from tests.conftest import Chatstore
from tests.support.journals import as_line, as_lines, quarantined, record, stored, wanted_of

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]


def fill(folder: Path) -> Path:
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as stream:
        while True:
            try:
                stream.write(b"\0" * 4096)
            except OSError:
                return filler


def test_a_quarantine_that_finds_no_room_loses_no_line(
    chatstore: Chatstore, database: Documents, small_disk: Callable[[str], Path]
):
    disk = small_disk("size=300k")
    bad = [b"bad %d " % number + b"x" * 1_500 for number in range(100)]
    good = [record(number) for number in range(100)]
    content = b"".join(line + b"\n" + as_line(fields) for line, fields in zip(bad, good, strict=True))
    (disk / "s.jsonl").write_bytes(content)
    outcome = chatstore("flush-cache", disk, "-o", "json")
    assert outcome.code == 1
    error = json.loads(outcome.err.splitlines()[-1])["error"]
    assert error["message"].startswith("Cannot quarantine a line in ")
    assert error["message"].endswith("quarantine.jsonl: No space left on device.")
    assert "Nothing is lost: the line is still in its journal." in error["hint"]
    small_disk("size=4m")
    outcome = chatstore("flush-cache", disk, "-o", "json")
    assert outcome.code == 7
    assert sorted(line.raw for line in quarantined(disk)) == sorted(bad)
    assert stored(database) == wanted_of(good)
    assert chatstore("flush-cache", disk).code == 0


def test_a_ledger_that_finds_no_room_costs_only_reading_again(
    chatstore: Chatstore, database: Documents, small_disk: Callable[[str], Path]
):
    disk = small_disk("size=256k")
    lines = [record(number) for number in range(200)]
    (disk / "s.jsonl").write_bytes(as_lines(lines))
    filler = fill(disk)
    outcome = chatstore("flush-cache", disk, "-o", "json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["stored"] == 200
    outcome = chatstore("flush-cache", disk, "-o", "json")
    assert (outcome.code, json.loads(outcome.out)["stored"]) == (0, 0)
    filler.unlink()
    assert chatstore("flush-cache", disk).code == 0
    outcome = chatstore("flush-cache", disk, "-o", "json")
    assert json.loads(outcome.out)["lines"] == 0
    assert stored(database) == wanted_of(lines)


def test_journals_on_a_disk_that_is_read_only_are_remembered_in_the_state_folder(
    chatstore: Chatstore, database: Documents, small_disk: Callable[[str], Path]
):
    disk = small_disk("size=1m")
    (disk / "s.jsonl").write_bytes(as_line(record(0)) + b"bad\n")
    small_disk("ro")
    outcome = chatstore("flush-cache", disk, "-o", "json")
    assert outcome.code == 7, outcome.err
    outcome = chatstore("flush-cache", disk, "-o", "json")
    assert (outcome.code, json.loads(outcome.out)["lines"]) == (0, 0)
    rows = json.loads(chatstore("cache", "quarantine", "list", disk, "-o", "json").out)["items"]
    assert [row["line"] for row in rows] == [2]
    assert [file.name for file in disk.iterdir()] == ["s.jsonl"]


def test_a_quarantine_beside_journals_that_became_read_only_is_still_listed(
    chatstore: Chatstore, database: Documents, small_disk: Callable[[str], Path]
):
    disk = small_disk("size=1m")
    (disk / "gone.jsonl").write_bytes(as_line(record(0)) + b"bad\n")
    assert chatstore("flush-cache", disk).code == 7
    (disk / "gone.jsonl").unlink()
    (disk / "new.jsonl").write_bytes(b"worse\n")
    small_disk("ro")
    assert chatstore("flush-cache", disk).code == 7
    rows = json.loads(chatstore("cache", "quarantine", "list", disk, "-o", "json").out)["items"]
    assert sorted(Path(row["source"]).name for row in rows) == ["gone.jsonl", "new.jsonl"]
