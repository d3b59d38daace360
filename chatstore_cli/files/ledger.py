"""The ledger: how far each journal has been stored in which collection.

It only saves work. Losing it, or finding it damaged, costs reading the journals again and nothing else.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from pathlib import Path

from chatstore_cli.domain.journal import Position

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
        try:
            self._database = self._opened(path)
        except sqlite3.DatabaseError:
            # Damaged: it only saves work, so begin a new one; where there is no room even for that, do without.
            with contextlib.suppress(OSError):
                path.unlink()
            try:
                self._database = self._opened(path)
            except sqlite3.DatabaseError:
                self._database = self._opened(":memory:")

    def position(self, journal: str, collection: str) -> Position | None:
        """How far the journal was stored in the collection, or None."""
        query = f"SELECT {_COLUMNS} FROM progress WHERE journal = ? AND collection = ?"
        with self._lock:
            try:
                row = self._database.execute(query, (_printable(journal), collection)).fetchone()
            except sqlite3.DatabaseError:
                return None
        return None if row is None else Position(*row)

    def advance(self, journal: str, collection: str, position: Position) -> None:
        """Remember the position; on disk at the latest with the next advance after a second, or on close."""
        values = (
            _printable(journal), collection,
            position.offset, position.records, position.latest, position.head, position.tail,
        )  # fmt: skip
        with self._lock, contextlib.suppress(sqlite3.DatabaseError):
            self._database.execute("INSERT OR REPLACE INTO progress VALUES (?, ?, ?, ?, ?, ?, ?)", values)
            if time.monotonic() - self._committed > _SECONDS_BETWEEN_COMMITS:
                self._database.commit()
                self._committed = time.monotonic()

    def commit(self) -> None:
        """Put on disk what was remembered."""
        with self._lock, contextlib.suppress(sqlite3.DatabaseError):
            self._database.commit()
            self._committed = time.monotonic()

    def forget(self, journal: str) -> None:
        """The journal is gone for good."""
        with self._lock, contextlib.suppress(sqlite3.DatabaseError):
            self._database.execute("DELETE FROM progress WHERE journal = ?", (_printable(journal),))

    def close(self) -> None:
        """Put everything on disk."""
        with self._lock, contextlib.suppress(sqlite3.DatabaseError):
            self._database.commit()
            self._database.close()

    def _opened(self, place: Path | str) -> sqlite3.Connection:
        database = sqlite3.connect(place, timeout=5.0, check_same_thread=False)
        try:
            database.execute("PRAGMA synchronous = OFF")
            database.execute(_SCHEMA)
            database.execute(f"SELECT {_COLUMNS} FROM progress LIMIT 1").fetchall()
            database.commit()
        except sqlite3.DatabaseError:
            database.close()
            raise
        return database


class LedgerReading:
    """What a ledger knows, for looking only: nothing is written, and no file is made."""

    def __init__(self, path: Path) -> None:
        self._positions: dict[str, dict[str, Position]] = {}
        with contextlib.suppress(sqlite3.DatabaseError):
            database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
            with contextlib.closing(database):
                rows = database.execute(f"SELECT journal, collection, {_COLUMNS} FROM progress")
                for journal, collection, *row in rows:
                    self._positions.setdefault(journal, {})[collection] = Position(*row)

    def position(self, journal: str, collection: str) -> Position | None:
        """How far the journal was stored in the collection, or None."""
        return self._positions.get(_printable(journal), {}).get(collection)

    def furthest_position(self, journal: str) -> Position | None:
        """How far the journal was stored in the collection that has most of it."""
        positions = self._positions.get(_printable(journal), {}).values()
        return max(positions, key=lambda position: position.offset, default=None)

    def advance(self, journal: str, collection: str, position: Position) -> None:
        """Nothing: looking moves nothing on."""


def _printable(journal: str) -> str:
    # A path may hold bytes that are no UTF-8; SQLite takes text only.
    return journal.encode("utf-8", errors="surrogateescape").decode("utf-8", errors="backslashreplace")
