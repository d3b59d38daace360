"""The ledger: how far each journal has been stored in each collection.

It only saves work. If it is lost or damaged, the journals are read again, and nothing else happens.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from pathlib import Path

from chatstore_cli.domain.journal import Position
from chatstore_cli.files.ownership import open_private
from chatstore_cli.files.session_names import printable

_SCHEMA = """
CREATE TABLE IF NOT EXISTS progress (
    journal TEXT NOT NULL, collection TEXT NOT NULL,
    offset INTEGER NOT NULL, records INTEGER NOT NULL, latest TEXT NOT NULL, head TEXT NOT NULL, tail TEXT NOT NULL,
    PRIMARY KEY (journal, collection)
) WITHOUT ROWID
"""
_SECONDS_BETWEEN_COMMITS = 1.0
_COLUMNS = "offset, records, latest, head, tail"
LEDGER_NAME = "ledger.sqlite3"


class Ledger:
    """Positions by journal and collection UUID, in one SQLite file. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._committed = time.monotonic()
        _make_writable(path)
        try:
            self._database = self._open(path)
        except sqlite3.DatabaseError:
            # Damaged: begin a new ledger, or use one in memory if the disk has no space.
            with contextlib.suppress(OSError):
                path.unlink()
            try:
                self._database = self._open(path)
            except sqlite3.DatabaseError:
                self._database = self._open(":memory:")

    def position(self, journal: str, collection: str) -> Position | None:
        """How far the journal was stored in the collection, or None."""
        query = f"SELECT {_COLUMNS} FROM progress WHERE journal = ? AND collection = ?"
        with self._lock:
            try:
                row = self._database.execute(query, (printable(journal), collection)).fetchone()
            except sqlite3.DatabaseError:
                return None
        return None if row is None else Position(*row)

    def advance(self, journal: str, collection: str, position: Position) -> None:
        """Remember the position. It is on disk at the latest with the next call after a second, or on close."""
        values = (
            printable(journal), collection,
            position.offset, position.records, position.latest, position.head, position.tail,
        )  # fmt: skip
        with self._lock, contextlib.suppress(sqlite3.DatabaseError):
            self._database.execute("INSERT OR REPLACE INTO progress VALUES (?, ?, ?, ?, ?, ?, ?)", values)
            if time.monotonic() - self._committed > _SECONDS_BETWEEN_COMMITS:
                self._database.commit()
                self._committed = time.monotonic()

    def commit(self) -> None:
        """Write the positions to the disk."""
        with self._lock, contextlib.suppress(sqlite3.DatabaseError):
            self._database.commit()
            self._committed = time.monotonic()

    def forget(self, journal: str) -> None:
        """Forget a journal that was removed."""
        with self._lock, contextlib.suppress(sqlite3.DatabaseError):
            self._database.execute("DELETE FROM progress WHERE journal = ?", (printable(journal),))

    def close(self) -> None:
        """Write the positions to the disk, and close the file."""
        with self._lock, contextlib.suppress(sqlite3.DatabaseError):
            self._database.commit()
            self._database.close()

    def _open(self, path: Path | str) -> sqlite3.Connection:
        database = sqlite3.connect(path, timeout=5.0, check_same_thread=False)
        try:
            database.execute("PRAGMA synchronous = OFF")
            database.execute(_SCHEMA)
            database.execute(f"SELECT {_COLUMNS} FROM progress LIMIT 1").fetchall()
            database.commit()
        except sqlite3.DatabaseError:
            database.close()
            raise
        return database


def _make_writable(path: Path) -> None:
    """Remove a ledger that another user left and this one cannot write; make a file with the right owner."""
    with contextlib.suppress(OSError):
        if path.is_file() and not os.access(path, os.R_OK | os.W_OK):
            path.unlink()
        os.close(open_private(path, os.O_RDWR | os.O_CREAT))


class LedgerReading:
    """The positions of a ledger, to be read only: nothing is written, and no file is created."""

    def __init__(self, path: Path) -> None:
        self._positions: dict[str, dict[str, Position]] = {}
        if not path.is_file():  # SQLite would wait for a pipe
            return
        with contextlib.suppress(sqlite3.DatabaseError):
            database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
            with contextlib.closing(database):
                rows = database.execute(f"SELECT journal, collection, {_COLUMNS} FROM progress")
                for journal, collection, *row in rows:
                    self._positions.setdefault(journal, {})[collection] = Position(*row)

    def position(self, journal: str, collection: str) -> Position | None:
        """How far the journal was stored in the collection, or None."""
        return self._positions.get(printable(journal), {}).get(collection)

    def furthest_position(self, journal: str, mapping_key: str) -> Position | None:
        """How far the journal was stored, read with this mapping, in the collection that has most of it."""
        stored = self._positions.get(printable(journal), {})
        positions = [
            position for collection, position in stored.items() if collection.partition("+")[2] == mapping_key[1:]
        ]
        return max(positions, key=lambda position: position.offset, default=None)

    def advance(self, journal: str, collection: str, position: Position) -> None:
        """Do nothing."""
