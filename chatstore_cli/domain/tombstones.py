"""The rule that decides whether a message was deleted with its session. Every process uses it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from chatstore_cli.domain.journal import Entry
from chatstore_cli.domain.times import read_instant, to_milliseconds

_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A deletion of a session: when it was deleted, and the `_id`s of the deleted rows that this time does not cover.

    `row_ids` are those of rows that were dated later than the deletion, or whose time cannot be read.
    """

    deleted_at: datetime
    row_ids: frozenset[str] = frozenset()

    def covers(self, created_at: datetime | None, identity: str) -> bool:
        """Whether a message was deleted with the session. `created_at` is None if its time cannot be read.

        Nothing else decides (no journal, no ledger, no clock), so that each process and each replay decides alike.
        """
        return created_at is None or created_at <= self.deleted_at or identity in self.row_ids


def is_covered(tombstones: Mapping[str, Tombstone], entry: Entry) -> bool:
    """Whether one of the tombstones, by session, covers a line of a journal."""
    tombstone = tombstones.get(entry.session_id)
    return tombstone is not None and tombstone.covers(read_instant(entry.instant), entry.identity)


def deletion_instant(now: datetime) -> datetime:
    """The instant of a deletion at `now`, as it is stored: the end of the millisecond, because a date has no more digits.

    A row whose time is stored as a date has lost its microseconds too, and its line in a journal has not.
    """
    return now if now.microsecond % 1000 == 0 else to_milliseconds(now) + _MILLISECOND
