"""Counters and state of one source while its lines are stored."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from chatstore_cli.domain.journal import Entry

_numbers = itertools.count()


@dataclass(kw_only=True)
class SourceState:
    """Counters and state of one source while its lines are stored. Several threads write to it.

    `refuse` is called with each line that cannot be stored, and the reason. Lines at or before the instant `floor` may
    have equals before the place where reading began. `skipped` counts lines left out: the `covered` ones, which were
    deleted with their session, and those that have expired or were dropped from the quarantine. `expired` counts lines
    whose own lifetime is over. `needs_rereading`: the source has to be read again from its first line. `number` differs
    between any two states.
    """

    refuse: Callable[[Entry, str], object]
    floor: str = ""
    skipped: int = 0
    covered: int = 0
    expired: int = 0
    needs_rereading: bool = False
    number: int = field(default_factory=_numbers.__next__)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count_skipped(self) -> None:
        """Count one skipped line."""
        with self._lock:
            self.skipped += 1

    def count_covered(self) -> None:
        """Count one line that was deleted with its session, and is skipped for that."""
        with self._lock:
            self.covered += 1
            self.skipped += 1

    def count_expired(self) -> None:
        """Count one expired line."""
        with self._lock:
            self.expired += 1
