"""Recording messages: the location of a recorded line, and the ports of the cache and of its worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from chatstore_cli.domain.journal import Entry

DEFAULT_SESSION = "default"
"""The session of a message without a session id."""


class LineLocation(NamedTuple):
    """The location of a recorded line: its journal's path and inode, its number (from 1), its offset and length in bytes."""

    source: str
    inode: int
    number: int
    offset: int
    length: int


@dataclass(slots=True)
class JournalRange:
    """Lines of one journal that are not stored yet and not in memory: the bytes from `start` to `end`.

    `number` is the number of the first line. `messages` of the lines are awaited: those whose message_id counts from
    `first` to `last`. If the file was cut, the same bytes may hold other lines by now.
    """

    source: str
    inode: int
    start: int
    end: int
    number: int
    messages: int
    first: int
    last: int


class RecoveredLines(NamedTuple):
    """Lines read from a JournalRange, and the range that is still to be read; None at its end."""

    lines: list[tuple[LineLocation, dict[str, Any]]]
    remaining: JournalRange | None


class RecordingJournal(Protocol):
    """The journals that messages are recorded in before anything else happens to them. Thread-safe."""

    def encode(self, fields: dict[str, Any]) -> bytes:
        """The line of a message. Raises ValueError if it cannot be written as JSON in UTF-8."""

    def append(self, session_id: str, line: bytes) -> LineLocation:
        """Write a line, whole or not at all. Raises NotRecorded, and BadValue for an id that cannot have a file."""

    def newest(self, session_id: str, count: int) -> list[tuple[int, dict[str, Any]]]:
        """At most `count` of the newest lines of a session, oldest first, each with its number."""

    def sessions(self) -> Iterator[str]:
        """The sessions that have a journal, the one written to last first."""

    def read_back(self, unread: JournalRange, lines: int, about_bytes: int) -> RecoveredLines | None:
        """At most `lines` lines of a range, about `about_bytes` bytes; None if its file was removed or replaced."""

    def reset_after_fork(self) -> None:
        """In the child of a fork: close the files that the parent opened."""

    def close(self) -> None:
        """Sync what the fsync policy requires, and close the files."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The outcome of storing some messages: messages = stored + already_stored + skipped + refused.

    `skipped` were deleted with their session. `refused` has a reason for each message.
    """

    messages: int = 0
    stored: int = 0
    already_stored: int = 0
    skipped: int = 0
    refused: Sequence[tuple[Entry, str]] = ()


class RetryCallbacks(NamedTuple):
    """What a RetryPolicy calls: `say` reports a failure, `pause` waits that many seconds and returns whether to give up."""

    say: Callable[[str], None]
    pause: Callable[[float], bool]


class MessageStorage(Protocol):
    """Stores the worker's messages. For one thread at a time."""

    def store(self, entries: Sequence[Entry]) -> Stored:
        """Store the messages, each exactly once, even if an earlier call with the same messages failed."""


class RefusedMessages(Protocol):
    """Keeps each message that the database rejects, with the reason."""

    def add(
        self,
        source: str,
        number: int,
        offset: int,
        raw: bytes,
        reason: str,
        quarantined_at: str,
        identity: str | None = None,
    ) -> bool:
        """Keep a line; returns False if it was kept before."""

    def sync(self) -> None:
        """Sync the added lines to the disk."""


@dataclass(frozen=True, slots=True)
class WorkerStats:
    """Counters of a worker since it was made.

    `queue_depth` counts the messages that are not stored yet, including those that are in the journal only. `flushed`
    were newly stored. `skipped` were already stored, or were deleted with their session. `quarantined` were rejected by the
    database. `lost` were only in a journal that was cut or removed. Latencies are in milliseconds per batch,
    over the newest 1,000 batches. `last_persisted_at` is when a batch was last acknowledged.
    """

    queue_depth: int
    flushed: int
    skipped: int
    quarantined: int
    lost: int
    flush_latency_p50: float | None
    flush_latency_p99: float | None
    last_error: str | None
    last_error_at: datetime | None
    last_persisted_at: datetime | None
    running: bool
