"""The local cache on disk: who follows it, how it stands, and what may go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from chatstore_cli.domain.errors import ChatstoreError


class LockHolder(NamedTuple):
    """The process that holds the lock of a folder of journals; None for what is not known of it."""

    command: str
    pid: int | None
    host: str | None
    since: str | None

    def __str__(self) -> str:
        return f"{self.command} (process {self.pid} on {self.host}, since {self.since})"


@dataclass(frozen=True, slots=True)
class CacheStatus:
    """How journals stand against the database; None for what only the database could tell.

    `sessions` counts the journals' names: rotated ones of a session are one. `not_persisted` lines would be stored by a
    flush now, the oldest of them is of the instant `oldest_not_persisted`; `to_quarantine` lines cannot be stored.
    `torn` counts unfinished last lines, `quarantined` the lines in quarantine.
    """

    sessions: int
    journals: int
    lines: int
    bytes: int
    not_persisted: int | None
    oldest_not_persisted: str | None
    to_quarantine: int
    torn: int
    quarantined: int
    worker: LockHolder | None


class CacheLook(NamedTuple):
    """How journals stand, and what stood in the way: the database that is away, journals that cannot be read."""

    status: CacheStatus
    troubles: Sequence[ChatstoreError]


class FileState(NamedTuple):
    """A file as it was at one moment; times in nanoseconds since 1970."""

    device: int
    inode: int
    size: int
    modified: int


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one journal, and why. `lines` and `newest` are None where it was not read.

    `prune`: it is to go; `pruned`: it has gone.
    """

    journal: str
    session_id: str | None
    lines: int | None
    bytes: int
    newest: str | None
    prune: bool
    reason: str
    pruned: bool = False
