"""A journal for recording without a disk: lines are checked and numbered, and only the queue holds them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chatstore_cli.core.lru import LruMap
from chatstore_cli.domain.recording import JournalRange, LineLocation, RecoveredLines
from chatstore_cli.files import journal_lines
from chatstore_cli.files.session_names import journal_path

_NUMBERED_SESSIONS = 5_000


class MemoryJournal:
    """A RecordingJournal that writes nothing: it checks and numbers lines."""

    name = "memory"
    encode = staticmethod(journal_lines.dumps)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: LruMap[str, int] = LruMap(_NUMBERED_SESSIONS)

    def append(self, session_id: str, line: bytes) -> LineLocation:
        """Number the line. Raises BadValue for an id that cannot have a journal."""
        journal_path(Path(), session_id)
        with self._lock:
            number = (self._numbers.get(session_id) or 0) + 1
            self._numbers.put(session_id, number)
        return LineLocation(self.name, 0, number, 0, len(line))

    def newest(self, session_id: str, count: int) -> list[tuple[int, dict[str, Any]]]:
        """Always empty."""
        return []

    def sessions(self) -> Iterator[str]:
        """Always empty."""
        return iter(())

    def read_back(self, unread: JournalRange, lines: int, about_bytes: int) -> RecoveredLines | None:
        """Always None."""
        return None

    def reset_after_fork(self) -> None:
        """In the child of a fork: replace the locks, which a thread of the parent may hold."""
        self._lock = threading.Lock()
        self._numbers.reset_after_fork()

    def close(self) -> None:
        """Does nothing: no file is open."""
