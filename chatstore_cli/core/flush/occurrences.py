"""Counting equal lines with bounded memory.

Two equal lines at two places of a journal are two messages (DESIGN section 4), so each needs its number among its
equals. Equal lines have the same instant, and a journal is mostly in the order of time: it is enough to remember a
window of lines, as long as every later line is later than all that left the window. Where one is not, the file is
read again with a count on disk that forgets nothing.
"""

from __future__ import annotations

import sqlite3

WINDOW = 100_000


class OutOfOrder(Exception):
    """A line whose equals may lie outside the window: count again with CountOnDisk, from the file's first line."""


class WindowedCount:
    """Numbers each line among its equals, remembering the last one to two windows of lines.

    `floor`: lines at or before this instant may have equals that were not counted here.
    """

    def __init__(self, floor: str = "", window: int = WINDOW) -> None:
        self._floor = floor
        self._window = window
        self._older: dict[bytes, int] = {}
        self._newer: dict[bytes, int] = {}
        self._older_latest = self._newer_latest = floor

    def number(self, key: bytes, instant: str) -> int:
        """How many equal lines came before this one. Raises OutOfOrder where that is not known any more."""
        if instant <= self._floor:
            raise OutOfOrder
        before = self._newer.get(key)
        if before is None:
            before = self._older.get(key, 0)
        self._newer[key] = before + 1
        if instant > self._newer_latest:
            self._newer_latest = instant
        if len(self._newer) >= self._window:
            self._floor = max(self._floor, self._older_latest)
            self._older, self._older_latest = self._newer, self._newer_latest
            self._newer, self._newer_latest = {}, self._floor
        return before


class CountOnDisk:
    """The same for lines in any order: exact, slower, in a temporary database that vanishes when it is closed."""

    def __init__(self) -> None:
        # An empty name is a private database on disk, which SQLite deletes itself, also after a kill -9.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("CREATE TABLE tally (key BLOB PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def number(self, key: bytes, instant: str) -> int:
        """How many equal lines came before this one."""
        del instant  # the same call as WindowedCount's, which needs it
        return self.add(key) - 1

    def add(self, key: bytes, by: int = 1) -> int:
        """Add to a key's count and give the new one."""
        upsert = "INSERT INTO tally VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET n = n + excluded.n RETURNING n"
        return int(self._database.execute(upsert, (key, by)).fetchone()[0])

    def take(self, key: bytes) -> bool:
        """Take one away from a key's count; False where none is left."""
        taken = self._database.execute("UPDATE tally SET n = n - 1 WHERE key = ? AND n > 0", (key,))
        return taken.rowcount > 0

    def close(self) -> None:
        """Give the disk space back."""
        self._database.close()
