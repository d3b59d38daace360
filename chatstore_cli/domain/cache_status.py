"""The local cache on disk: its state, the process that follows it, and the journals that can be removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.future_journals import FutureJournals
from chatstore_cli.domain.ignored_files import IgnoredFiles


class LockHolder(NamedTuple):
    """The process that holds the lock of a folder of journals; an unknown field is None."""

    command: str
    pid: int | None
    host: str | None
    since: str | None

    def __str__(self) -> str:
        known = [
            text
            for text, value in (
                (f"process {self.pid}", self.pid),
                (f"on {self.host},", self.host),
                (f"since {_utc_second(self.since)}", self.since),
            )
            if value is not None
        ]
        return f"{self.command} ({' '.join(known)})" if known else self.command


def _utc_second(instant: str | None) -> str:
    """An instant in UTC as texts show it: 2026-03-02 11:41:00 UTC."""
    return f"{(instant or '')[:19].replace('T', ' ')} UTC"


@dataclass(frozen=True, slots=True)
class CacheStatus:
    """The state of journals; None for what only the database, or another user, could answer.

    `sessions` counts the journals' names: rotated journals of a session count as one. A flush would now store
    `not_persisted` lines, the oldest of them of the instant `oldest_not_persisted`, and quarantine `to_quarantine`.
    `incomplete` counts incomplete last lines, whose journals are named, `quarantined` the lines in quarantine. `ignored` has the files in the
    folders that are not read, `future` the journals with lines from the future.
    """

    sessions: int
    journals: int
    lines: int
    bytes: int
    not_persisted: int | None
    oldest_not_persisted: str | None
    to_quarantine: int
    incomplete: int
    quarantined: int | None
    worker: LockHolder | None
    ignored: Sequence[IgnoredFiles] = ()
    future: FutureJournals = field(default_factory=FutureJournals)
    incomplete_journals: Sequence[str] = ()


class CacheReport(NamedTuple):
    """The state of journals, and what kept it from being complete: an unreachable database, unreadable journals."""

    status: CacheStatus
    errors: Sequence[ChatstoreError]


class JournalFolder(NamedTuple):
    """What a folder of journals contains. `unreadable` are the journals that this user may not read.

    `foreign_bookkeeping` is the reason why this user cannot use the bookkeeping folder beside the journals, if it exists.
    """

    journals: int
    unreadable: Sequence[str]
    ignored: Sequence[IgnoredFiles]
    foreign_bookkeeping: str | None


class FileState(NamedTuple):
    """A file at one moment; times in nanoseconds since 1970."""

    device: int
    inode: int
    size: int
    modified: int


@dataclass(frozen=True, slots=True)
class PruneDecision:
    """Whether one journal can be removed, and why. `lines`, `covered`, `dropped` and `newest` are None if it was not read.

    `covered` of the `lines` were deleted with their session, and `dropped` of them were dropped from the quarantine, so they
    need not be stored. `expired` of them were stored and have expired since. `prune`: it is to be removed; `pruned`: it was removed.
    """

    journal: str
    session_id: str | None
    lines: int | None
    bytes: int
    newest: str | None
    prune: bool
    reason: str
    pruned: bool = False
    covered: int | None = None
    dropped: int | None = None
    expired: int = 0
