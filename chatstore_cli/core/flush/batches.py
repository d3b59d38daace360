"""Batches of entries, and the ledger positions that finished batches allow."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import NamedTuple

from chatstore_cli.core.flush.reading import JournalReading
from chatstore_cli.core.flush.source_state import SourceState
from chatstore_cli.domain.journal import Entry

_SECONDS_BETWEEN_POSITIONS = 1.0


class Reached(NamedTuple):
    """How far a journal had been read at some moment."""

    reading: JournalReading
    offset: int
    records: int
    latest: str


@dataclass
class Batch:
    """Entries to be stored together, with the state of each of their sources.

    `bytes` is how much of the journals they take. `reached` is how far each journal has been read by the end of the batch.
    """

    number: int
    entries: list[Entry] = field(default_factory=list)
    bytes: int = 0
    states: dict[str, SourceState] = field(default_factory=dict)
    reached: dict[str, Reached] = field(default_factory=dict)


class FinishedBatches:
    """Moves the ledgers on, but never past a batch that is not stored. Several threads may call it.

    Batches are numbered from 0 and may finish in any order. A journal's position moves on only over batches that are
    all stored, so a kill at any instant loses nothing: a later run reads what the ledger has not passed again, and
    recognises what is stored.
    """

    def __init__(self, *, writes_ledger: bool) -> None:
        self._writes_ledger = writes_ledger
        self._lock = threading.RLock()
        self._out_of_turn: dict[int, Batch] = {}
        self._reached: dict[str, Reached] = {}
        self._saved_at = time.monotonic()
        self.collection: str | None = None
        """What identifies the collection that was stored into; None if that is not known."""
        self.stored = 0
        """Messages stored so far."""
        self.in_turn = 0
        """How many batches are finished together with every batch before them."""

    def finish(self, batch: Batch, stored: int) -> None:
        """Note that a batch is done, of which that many messages were newly stored."""
        batch.entries.clear()
        with self._lock:
            self.stored += stored
            self._out_of_turn[batch.number] = batch
            while (next_batch := self._out_of_turn.pop(self.in_turn, None)) is not None:
                self._reached.update(next_batch.reached)
                self.in_turn += 1
            if time.monotonic() - self._saved_at > _SECONDS_BETWEEN_POSITIONS:
                self.save_positions()

    def save_positions(self) -> None:
        """Write to the ledgers how far each journal is stored. A crash before that only costs reading again."""
        with self._lock:
            if self._writes_ledger:
                for reached in self._reached.values():
                    self._save_position(reached)
            self._reached.clear()
            self._saved_at = time.monotonic()

    def _save_position(self, reached: Reached) -> None:
        reading = reached.reading
        source = reading.source
        if reading.needs_rereading or source.ledger is None or self.collection is None:
            return
        if source.journal.compressed and not (reading.complete and reached.offset == reading.offset):
            return  # only the whole of a compressed file can be remembered
        source.quarantine.sync()  # first: the ledger must not pass a quarantined line that a power failure can take away
        position = source.journal.position_at(reached.offset, reached.records, reached.latest)
        if position is not None:
            source.ledger.advance(reading.name, self.collection + source.journal.mapping_key, position)
