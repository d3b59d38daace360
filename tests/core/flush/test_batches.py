"""A ledger passes only batches that are stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chatstore_cli.core.flush.batches import Batch, FinishedBatches, Reached
from chatstore_cli.core.flush.occurrences import NotCounted
from chatstore_cli.core.flush.quarantine import LineQuarantine
from chatstore_cli.core.flush.reading import JournalReading, Source
from chatstore_cli.domain.times import utc_now
from chatstore_cli.files.journal_reader import JournalFile
from chatstore_cli.files.ledger import Ledger
from chatstore_cli.files.quarantine import Quarantine
from tests.support.journals import record, write_journal


class OneJournal:
    """A journal of three lines, a reading of it, and its ledger."""

    def __init__(self, folder: Path) -> None:
        path = write_journal(folder / "s.jsonl", [record(number) for number in range(3)])
        self.line_ends = [index + 1 for index, byte in enumerate(path.read_bytes()) if byte == ord("\n")]
        self.ledger = Ledger(folder / "ledger")
        self.quarantine = Quarantine(folder)
        source = Source(JournalFile(path), self.ledger, self.quarantine)
        line_quarantine = LineQuarantine(self.quarantine, source.journal.name, utc_now, dry_run=False)
        self.reading = JournalReading(source, line_quarantine, NotCounted())
        list(source.journal.blocks())
        self.finished = FinishedBatches(writes_ledger=True)
        self.finished.collection = "one"

    def finish(self, number: int) -> None:
        """The batch that has the line of this number."""
        reached = Reached(self.reading, self.line_ends[number], number + 1, "")
        self.finished.finish(Batch(number, reached={self.reading.name: reached}), stored=1)
        self.finished.save_positions()

    @property
    def records_passed(self) -> int:
        """How many lines the ledger has passed."""
        position = self.ledger.position(self.reading.name, "one")
        return 0 if position is None else position.records


@pytest.fixture
def journal(tmp_path: Path) -> OneJournal:
    return OneJournal(tmp_path)


def test_the_ledger_never_passes_a_batch_that_is_not_finished(journal: OneJournal):
    passed = []
    for number in (1, 2, 0):
        journal.finish(number)
        passed.append(journal.records_passed)
    assert passed == [0, 0, 3]
    assert (journal.finished.stored, journal.finished.in_turn) == (3, 3)


@pytest.mark.parametrize("found_by", ["the thread that reads", "a thread that stores"])
def test_a_reading_that_has_to_be_repeated_moves_no_ledger(journal: OneJournal, found_by: str):
    journal.finish(0)
    if found_by == "the thread that reads":
        journal.reading.out_of_order = True
    else:
        journal.reading.state.needs_rereading = True
    journal.finish(1)
    assert journal.records_passed == 1


def test_quarantined_lines_are_on_the_disk_before_the_ledger_passes_them(
    journal: OneJournal, monkeypatch: pytest.MonkeyPatch
):
    events: list[str] = []

    def note(owner: Any, name: str) -> None:
        method = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *arguments: (events.append(name), method(*arguments))[1])

    note(journal.quarantine, "add")
    note(journal.quarantine, "sync")
    note(journal.ledger, "advance")
    journal.reading.quarantine.add(1, 0, b"bad", "not JSON")
    journal.finish(0)
    assert events == ["add", "sync", "advance"]


def test_a_run_that_stores_nothing_moves_no_ledger(journal: OneJournal):
    journal.finished = FinishedBatches(writes_ledger=False)
    journal.finished.collection = "one"
    journal.finish(0)
    assert (journal.records_passed, journal.finished.stored) == (0, 1)
