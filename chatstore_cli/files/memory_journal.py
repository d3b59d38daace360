"""Recording without a disk: lines are checked and numbered, and the queue is all there is."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chatstore_cli.domain.recording import Place, ReadBack, Stretch
from chatstore_cli.files import journal_lines
from chatstore_cli.files.session_names import journal_path

_SESSIONS_KEPT = 5_000


class NoJournal:
    """Where nothing is put on disk: lines are checked and numbered, and only the queue holds them."""

    name = "memory"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: OrderedDict[str, int] = OrderedDict()

    def encode(self, fields: dict[str, Any]) -> bytes:
        """The line of a message. Raises ValueError where it cannot be written as JSON in UTF-8."""
        return journal_lines.dumps(fields)

    def append(self, session_id: str, line: bytes) -> Place:
        """Only number it. Raises BadValue for an id that no journal could have."""
        journal_path(Path(), session_id)
        with self._lock:
            number = self._numbers[session_id] = self._numbers.pop(session_id, 0) + 1
            if len(self._numbers) > _SESSIONS_KEPT:
                self._numbers.popitem(last=False)
        return Place(self.name, 0, number, 0, len(line))

    def newest(self, session_id: str, count: int) -> list[tuple[int, dict[str, Any]]]:
        """There are none."""
        del session_id, count
        return []

    def sessions(self) -> Iterator[str]:
        """There are none."""
        return iter(())

    def read_back(self, stretch: Stretch, lines: int, about_bytes: int) -> ReadBack | None:
        """There is nothing to read."""
        del stretch, lines, about_bytes
        return None

    def let_go(self) -> None:
        """After a fork: nothing is open."""
        self._lock = threading.Lock()

    def close(self) -> None:
        """Nothing is open."""
