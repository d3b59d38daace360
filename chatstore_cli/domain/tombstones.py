"""The rule that decides whether a message was deleted with its session. Every process uses it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from chatstore_cli.domain.identity import identity_by_message_id, session_prefix
from chatstore_cli.domain.journal import Entry
from chatstore_cli.domain.message import ReplyTo, read_reply_to
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

    def covers_answer(self, session_id: str, reply_to: ReplyTo | None) -> bool:
        """Whether the message that a message of the session answers was deleted. Then the answer is deleted with it.

        An answer may be recorded after the deletion: it was already being written when the session was deleted.
        """
        if reply_to is None:
            return False
        asked = reply_to.message_id
        identity = "" if asked is None else identity_by_message_id(session_prefix(session_id), session_id, asked)
        return self.covers(reply_to.created_at, identity)


def is_covered(tombstones: Mapping[str, Tombstone], entry: Entry) -> bool:
    """Whether one of the tombstones, by session, covers a line of a journal."""
    tombstone = tombstones.get(entry.session_id)
    if tombstone is None:
        return False
    if tombstone.covers(read_instant(entry.instant), entry.identity):
        return True
    return tombstone.covers_answer(entry.session_id, read_reply_to(entry.fields))


def deletion_instant(now: datetime) -> datetime:
    """The instant of a deletion at `now`, as it is stored: the end of the millisecond, because a date has no more digits.

    A row whose time is stored as a date has lost its microseconds too, and its line in a journal has not.
    """
    return now if now.microsecond % 1000 == 0 else to_milliseconds(now) + _MILLISECOND
