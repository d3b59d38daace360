"""Recording messages while a chat goes on: where a line went, and the ports of the cache and of its worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from chatstore_cli.domain.journal import Entry

DEFAULT_SESSION = "default"
"""The session of a message that names none."""


class Place(NamedTuple):
    """Where a recorded line stands: the journal's name and inode, the line's number (from 1), its bytes there."""

    source: str
    file: int
    number: int
    offset: int
    length: int


class Stretch(NamedTuple):
    """Lines of one journal that wait to be read back: those of the bytes from `start` to `end`.

    `number` is the first one's number; `messages` of them are waited for: those whose message_id counts from `first` to
    `last`. A file that was cut may hold others in the same bytes by now.
    """

    source: str
    file: int
    start: int
    end: int
    number: int
    messages: int
    first: int
    last: int


class ReadBack(NamedTuple):
    """Lines read back, and the stretch that is left; None where it was read to its end."""

    lines: list[tuple[Place, dict[str, Any]]]
    rest: Stretch | None


class RecordingJournal(Protocol):
    """Where messages are recorded before anything else happens to them. Safe to use from several threads."""

    def encode(self, fields: dict[str, Any]) -> bytes:
        """The line of a message. Raises ValueError where it cannot be written as JSON in UTF-8."""
        ...

    def append(self, session_id: str, line: bytes) -> Place:
        """Write a line, whole or not at all. Raises NotRecorded, BadValue for an id that can have no file."""
        ...

    def newest(self, session_id: str, count: int) -> list[tuple[int, dict[str, Any]]]:
        """The newest lines of a session that there are, oldest first, each with its number."""
        ...

    def sessions(self) -> Iterator[str]:
        """The sessions that have a journal, the one written to last first."""
        ...

    def read_back(self, stretch: Stretch, lines: int, about_bytes: int) -> ReadBack | None:
        """At most `lines` lines of a stretch, of about so many bytes; None where its file is gone or was cut."""
        ...

    def let_go(self) -> None:
        """After a fork: close what the parent had open."""
        ...

    def close(self) -> None:
        """Put on disk what the policy asks for, and close."""
        ...


@dataclass(frozen=True, slots=True)
class Stored:
    """What storing some messages came to: messages = stored + already_stored + skipped + refused.

    `skipped` belong to sessions that were deleted on purpose. `refused` gives each one's reason.
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
    """Where the worker puts messages. One thread at a time."""

    def store(self, entries: Sequence[Entry]) -> Stored:
        """Store them, each exactly once, also when called again with the same after an error."""
        ...


class RefusedMessages(Protocol):
    """Keeps the messages that the database refuses, each beside its reason."""

    def add(
        self, source: str, number: int, offset: int, raw: bytes, reason: str, at: str, identity: str | None = None
    ) -> bool:
        """Keep a line; False where it was there already."""
        ...

    def sync(self) -> None:
        """Put on disk what was added."""
        ...


@dataclass(frozen=True, slots=True)
class WorkerStats:
    """What a worker has done so far.

    `queue_depth` messages are not stored yet, those that wait in the journal alone among them. `flushed` were stored,
    `skipped` were there already or belong to deleted sessions, `quarantined` were refused, `lost` had been left to the
    journal, and somebody cut or removed it. Latencies are in milliseconds per batch, over the newest 1,000.
    `last_persisted_at` is when a batch was last acknowledged.
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
