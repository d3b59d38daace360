"""Decides which readings of messages are recorded: one for each key, session and ten minutes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from chatstore_cli.core.lru import LruMap
from chatstore_cli.domain.api_keys import Access
from chatstore_cli.domain.audit import AuditStore, Reading
from chatstore_cli.domain.times import Clock, utc_now

_MINUTES = 10
_MOST_KNOWN = 10_000


class ReadAudit:
    """The audit of one process. It remembers what it has stored, so that most reads ask no database."""

    def __init__(self, store: Callable[[], AuditStore], clock: Clock = utc_now) -> None:
        """`store` is called when something must be stored, because it may connect."""
        self._store, self._clock = store, clock
        self._stored: LruMap[Reading, bool] = LruMap(_MOST_KNOWN)

    def missing(self, access: Access, sessions: Iterable[tuple[str, str]]) -> list[Reading]:
        """The readings to store before the caller gets messages of these sessions (layout, id). None without a key."""
        if access.key_id is None:
            return []
        window = window_of(self._clock())
        readings = (Reading(access.key_id, layout, session_id, window) for layout, session_id in sessions)
        return [each for each in dict.fromkeys(readings) if each not in self._stored]

    def record(self, readings: Sequence[Reading]) -> None:
        """Store readings. Raises the errors of domain/errors.py."""
        self._store().add(readings, self._clock())
        for each in readings:
            self._stored.put(each, True)


def window_of(moment: datetime) -> datetime:
    """The beginning of the ten minutes that a moment is in."""
    start = moment.replace(second=0, microsecond=0)
    return start - timedelta(minutes=start.minute % _MINUTES)
