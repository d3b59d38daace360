"""The ledger only saves work: whatever happens to its file, it never has a position that was not written."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from chatstore_cli.domain.journal import Position
from chatstore_cli.files import ledger as ledger_module
from chatstore_cli.files.ledger import Ledger, LedgerReading

POSITION = Position(100, 3, "2026-03-02T11:41:00.195769+00:00", "head", "tail")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


def test_a_position_outlives_the_process_for_its_journal_and_collection_only(file: Path):
    ledger = Ledger(file)
    ledger.advance("a", "one", POSITION)
    ledger.close()
    for again in (Ledger(file), LedgerReading(file)):
        assert again.position("a", "one") == POSITION
        assert again.position("a", "two") is None
        assert again.position("b", "one") is None


def test_what_was_not_committed_is_forgotten_and_nothing_else(file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ledger_module, "_SECONDS_BETWEEN_COMMITS", 3_600)
    ledger = Ledger(file)
    ledger.advance("a", "one", POSITION)
    assert LedgerReading(file).position("a", "one") is None
    ledger.close()
    assert LedgerReading(file).position("a", "one") == POSITION


@pytest.mark.parametrize(
    "damage",
    [b"", b"not a database at all", b"SQLite format 3\0" + os.urandom(4_000), os.urandom(100)],
    ids=["empty", "text", "looks like one", "noise"],
)
def test_a_damaged_ledger_knows_nothing_and_can_be_written_again(file: Path, damage: bytes):
    file.write_bytes(damage)
    assert LedgerReading(file).position("a", "one") is None
    assert file.read_bytes() == damage
    ledger = Ledger(file)
    assert ledger.position("a", "one") is None
    ledger.advance("a", "one", POSITION)
    ledger.close()
    assert Ledger(file).position("a", "one") == POSITION


def test_a_ledger_with_another_table_is_begun_anew(file: Path):
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE progress (something TEXT)")
    database.close()
    ledger = Ledger(file)
    ledger.advance("a", "one", POSITION)
    assert ledger.position("a", "one") == POSITION


def test_a_ledger_cut_in_half_knows_nothing_wrong(file: Path):
    ledger = Ledger(file)
    for number in range(2_000):
        ledger.advance(f"journal {number}", "one", POSITION)
    ledger.close()
    os.truncate(file, file.stat().st_size // 2 + 1)
    again = Ledger(file)
    assert again.position("journal 7", "one") in {None, POSITION}
    again.advance("a", "one", POSITION)
    again.close()


def test_looking_makes_no_file(file: Path):
    assert LedgerReading(file).position("a", "one") is None
    LedgerReading(file).advance("a", "one", POSITION)
    assert not file.exists()


def test_a_path_that_is_no_utf8_can_be_remembered(file: Path):
    ledger = Ledger(file)
    name = os.fsdecode(b"/data/caf\xe9.jsonl")
    ledger.advance(name, "one", POSITION)
    assert ledger.position(name, "one") == POSITION
    assert ledger.position("/data/café.jsonl", "one") is None


def test_a_ledger_that_cannot_be_opened_only_costs_reading_again(tmp_path: Path):
    """With a full disk, or a folder in its place, positions are remembered until it is closed, and then forgotten."""
    file = tmp_path / "ledger.sqlite3"
    (file / "a folder").mkdir(parents=True)
    ledger = Ledger(file)
    ledger.advance("a", "one", POSITION)
    assert ledger.position("a", "one") == POSITION
    ledger.close()
    again = Ledger(file)
    assert again.position("a", "one") is None
    again.close()
    assert (file / "a folder").is_dir()
