"""The ports of flushing: where messages go, what remembers how far, and what keeps the lines that cannot go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from enum import Enum
from typing import NamedTuple, Protocol

from chatstore_cli.domain.journal import Entry, Position
from chatstore_cli.domain.quarantine import QuarantinedLine


class Survey(Enum):
    """Whether a session has rows, or was deleted on purpose."""

    EMPTY = "empty"
    STORED = "stored"
    DELETED = "deleted"


class StoredContent(NamedTuple):
    """The content of a stored row; in milliseconds where its time is a BSON date, which keeps no more."""

    key: bytes
    in_milliseconds: bool


Content = tuple[object, object, object]
"""Role, time and text of a message, as they are stored."""


class Inserted(NamedTuple):
    """What storing a batch gave: how many are new, which ids were there already, and which were refused, and why.

    `deleted` are in none of these: their sessions were deleted on purpose at that moment.
    """

    stored: int
    duplicates: list[Entry]
    refused: list[tuple[Entry, str]]
    deleted: Sequence[Entry] = ()


class MessageStore(Protocol):
    """The collection of flat messages."""

    def collection_id(self) -> str | None:
        """What identifies the collection until it is dropped; None where there is none yet."""
        ...

    def prepare(self, *, recreated: bool = False) -> list[str]:
        """Make sure that the collection can be written to and looked up; says what was done.

        `recreated`: it was dropped a moment ago, and whoever stored into it next made it again, without its indexes.
        """
        ...

    def survey(self, sessions: Sequence[str]) -> dict[str, Survey]:
        """What is known of each session."""
        ...

    def with_foreign_rows(self, sessions: Sequence[str]) -> set[str]:
        """Those of the sessions that hold rows which another writer stored under ids of its own."""
        ...

    def stored_ids(self, identities: Sequence[str]) -> set[str]:
        """Those of the ids that are stored."""
        ...

    def stored_contents(self, identities: Sequence[str]) -> dict[str, Content]:
        """The content of each of the ids that is stored."""
        ...

    def stored_places(self, identities: Sequence[str]) -> dict[str, object]:
        """The place in its journal under which each of the ids was stored."""
        ...

    def foreign_contents(self, session: str) -> Iterator[StoredContent]:
        """What the session's rows hold that were stored under ids that are not ours."""
        ...

    def refusal_of(self, entry: Entry) -> str | None:
        """Why the entry would be refused as a document, found without storing it."""
        ...

    def insert(self, entries: Sequence[Entry], expires_at: Sequence[datetime | None]) -> Inserted:
        """Store entries. Raises Unreachable where it is not known which were stored: call again with the same."""
        ...


class LedgerPort(Protocol):
    """Remembers how far journals have been stored."""

    def position(self, journal: str, collection: str) -> Position | None:
        """How far, or None."""
        ...

    def advance(self, journal: str, collection: str, position: Position) -> None:
        """Remember it."""
        ...


class QuarantinePort(Protocol):
    """Keeps the lines that cannot be stored."""

    def knows(self, source: str, offset: int, raw: bytes) -> bool:
        """Whether this line of this journal is in quarantine."""
        ...

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
        """Keep a line; False where it was there already."""
        ...

    def add_large(
        self,
        source: str,
        number: int,
        offset: int,
        length: int,
        pieces: Iterable[bytes],
        reason: str,
        quarantined_at: str,
    ) -> bool:
        """Keep a line that is too long to be held in memory."""
        ...

    def sync(self) -> None:
        """Put on disk what was added."""
        ...

    def lines(self) -> Iterator[QuarantinedLine]:
        """Every line in quarantine."""
        ...

    def remove(self, quarantine_ids: set[str]) -> None:
        """Take lines out, once they are stored."""
        ...


class Block(NamedTuple):
    """Whole lines of a journal without their line feeds; `offset` is the first one's, in bytes.

    `complete` is False for a last line without a line feed.
    """

    offset: int
    lines: list[bytes]
    complete: bool = True


class OversizedLine(NamedTuple):
    """A line too long to be held in memory. `complete` is False where the file ends inside it."""

    offset: int
    length: int
    complete: bool


class Piece(NamedTuple):
    """A stretch of a damaged line: a record that is whole (`flaw` None), or bytes that are none, and why."""

    start: int
    raw: bytes
    flaw: str | None


class JournalPort(Protocol):
    """One journal, in blocks of whole lines."""

    name: str
    resumable: bool
    compressed: bool

    def blocks(self, start: int = 0) -> Iterator[Block | OversizedLine]:
        """The lines from a byte offset on."""
        ...

    def pieces(self, offset: int, length: int) -> Iterator[bytes]:
        """The bytes of a stretch, in pieces."""
        ...

    def position_at(self, offset: int, records: int, latest: str) -> Position | None:
        """A position with the fingerprints that tell whether the file is still the same."""
        ...

    def still_at(self, position: Position) -> bool:
        """Whether the file still has what the position was taken over."""
        ...

    def decode(self, line: bytes) -> object:
        """The value of a line. Raises ValueError where it is none."""
        ...

    def decode_flaw(self, line: bytes) -> str:
        """Why a line has no value."""
        ...

    def lost_digits(self, line: bytes) -> bool:
        """Whether decoding lost digits of an integer."""
        ...

    def salvage(self, line: bytes) -> Iterator[Piece]:
        """What a damaged line holds whole, and what is left of it."""
        ...
