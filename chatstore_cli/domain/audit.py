"""Readings: which API key read the messages of which session, and when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol


class Reading(NamedTuple):
    """A key read messages of a session in the ten minutes that begin at `window`. Its fields identify it."""

    key_id: str
    layout: str
    session_id: str
    window: datetime


class AuditStore(Protocol):
    """Keeps readings. Raises the errors of domain/errors.py. It cannot change or delete a reading."""

    def add(self, readings: Sequence[Reading], read_at: datetime) -> None:
        """Store those readings that are not stored yet."""
