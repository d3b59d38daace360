"""Counts of equal lines, in bounded memory.

Two equal lines at two places of a journal are two messages, so each line needs its number among its equals. Equal lines
have the same instant, and a journal is mostly in the order of time. So it is enough to remember a window of lines, as
long as every later line is later than all lines that left the window. If one is not, the file is read again with a
count on disk that forgets nothing.
"""

from __future__ import annotations

import sqlite3
from typing import Protocol

WINDOW = 100_000
"""Lines."""


class OutOfOrder(Exception):
    """A line has equals that may lie outside the window. Count again with CountOnDisk, from the file's first line."""


class OccurrenceCount(Protocol):
    """Numbers each line among its equals."""

    def number(self, key: bytes, instant: str) -> int:
        """How many equal lines came before this one."""

    def close(self) -> None:
        """Release memory and disk space. Nothing is counted after that."""


class NotCounted:
    """An OccurrenceCount for readers who do not use the numbers: each is 0."""

    def number(self, key: bytes, instant: str) -> int:
        """0."""
        return 0

    def close(self) -> None:
        """Do nothing."""


class WindowedCount:
    """Numbers each line among its equals, and remembers the last one to two windows of lines.

    `floor`: lines at or before this instant may have equals that were not counted here.
    """

    def __init__(self, floor: str = "", window: int = WINDOW) -> None:
        self._floor = floor
        self._window = window
        self._older: dict[bytes, int] = {}
        self._newer: dict[bytes, int] = {}
        self._older_latest = self._newer_latest = floor

    def number(self, key: bytes, instant: str) -> int:
        """How many equal lines came before this one. Raises OutOfOrder if that is no longer known."""
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

    def close(self) -> None:
        """Release the memory. Nothing is counted after that."""
        self._older, self._newer = {}, {}


class CountOnDisk:
    """Numbers lines in any order: exact, slower, in a temporary database that is deleted when it is closed."""

    def __init__(self) -> None:
        # With an empty name, SQLite makes a private database on disk and deletes it itself, even after kill -9.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("CREATE TABLE counts (key BLOB PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def number(self, key: bytes, instant: str) -> int:
        """How many equal lines came before this one."""
        return self.add(key) - 1

    def add(self, key: bytes, by: int = 1) -> int:
        """Add to a key's count and return the new count."""
        upsert = "INSERT INTO counts VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET n = n + excluded.n RETURNING n"
        return int(self._database.execute(upsert, (key, by)).fetchone()[0])

    def take(self, key: bytes) -> bool:
        """Subtract one from a key's count; False if the count is 0."""
        changed = self._database.execute("UPDATE counts SET n = n - 1 WHERE key = ? AND n > 0", (key,))
        return changed.rowcount > 0

    def close(self) -> None:
        """Release the disk space."""
        self._database.close()
