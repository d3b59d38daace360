"""The ports of flushing: the message store, journals, their ledger and their quarantine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from datetime import datetime
from typing import NamedTuple, Protocol

from chatstore_cli.domain.journal import Entry, JournalRecord, Position
from chatstore_cli.domain.quarantine import QuarantinedLine, Resolution
from chatstore_cli.domain.recording import RefusedMessages
from chatstore_cli.domain.tombstones import Tombstone


class Survey(NamedTuple):
    """Whether a session has stored messages, and whether it was deleted on purpose and has a tombstone."""

    has_rows: bool
    was_deleted: bool


class StoredContent(NamedTuple):
    """The content key of a stored row. Its time has only milliseconds if it is stored as a BSON date."""

    key: bytes
    in_milliseconds: bool


Content = tuple[object, object, object]
"""Role, time and text of a message, as they are stored."""


class Inserted(NamedTuple):
    """The result of storing a batch: how many are new, whose ids already existed, which were rejected and why.

    `deleted` entries are in none of these: their session was deleted at that moment, and the deletion covers them.
    """

    stored: int
    duplicates: list[Entry]
    refused: list[tuple[Entry, str]]
    deleted: Sequence[Entry] = ()


class MessageStore(Protocol):
    """The collection of flat messages."""

    def server_now(self) -> datetime:
        """The current time by the clock that decides when stored messages expire. Raises Unreachable."""

    def reach(self, seconds: float) -> None:
        """Raise Unreachable if the database does not answer within that many seconds."""

    def collection_id(self) -> str | None:
        """The identity of the collection, which changes if it is dropped; None if it does not exist."""

    def prepare(self, *, recreated: bool = False) -> list[str]:
        """Make sure that the collection has what storing and looking up need. Returns a text for each change.

        `recreated`: it was dropped a moment ago, and another writer created it again, without its indexes.
        """

    def warnings(self) -> list[str]:
        """Warnings for those who store in the collection. Each is returned once."""

    def survey(self, sessions: Sequence[str]) -> dict[str, Survey]:
        """What is known about each of the sessions before its messages are stored."""

    def tombstones(self, sessions: Iterable[str]) -> dict[str, Tombstone]:
        """The tombstones of those of the sessions that were deleted on purpose."""

    def remove_covered(self, entries: Sequence[Entry], tombstones: Mapping[str, Tombstone]) -> None:
        """Delete the rows with the ids of these entries that the tombstones of their sessions cover."""

    def with_foreign_rows(self, sessions: Sequence[str]) -> set[str]:
        """Those of the sessions that have rows which another writer stored under its own ids."""

    def stored_ids(self, identities: Sequence[str]) -> set[str]:
        """Those of the ids that are stored."""

    def stored_contents(self, identities: Sequence[str]) -> dict[str, Content]:
        """The content of each of the ids that is stored."""

    def stored_places(self, identities: Sequence[str]) -> dict[str, object]:
        """The place in its journal with which each of the ids was stored."""

    def foreign_contents(self, session: str) -> Iterator[StoredContent]:
        """The contents of the session's rows that another writer stored under its own ids."""

    def refusal_of(self, entry: Entry) -> str | None:
        """Why the entry would be rejected as a document, found without storing it."""

    def insert(self, entries: Sequence[Entry], expires_at: Sequence[datetime | None]) -> Inserted:
        """Store entries. Raises Unreachable if it is not known which were stored: then call it again with the same entries."""


class LedgerPort(Protocol):
    """Remembers how far journals have been stored."""

    def position(self, journal: str, collection: str) -> Position | None:
        """How far the journal is stored in the collection, or None."""

    def advance(self, journal: str, collection: str, position: Position) -> None:
        """Remember how far the journal is stored in the collection."""


class QuarantinePort(RefusedMessages, Protocol):
    """Keeps the lines that cannot be stored."""

    def knows(self, source: str, offset: int, raw: bytes) -> bool:
        """Whether this line of this journal is in quarantine."""

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
        """Quarantine a line that is too long to be held in memory. False if it is already in quarantine."""

    def lines(self) -> Iterator[QuarantinedLine]:
        """Every line in quarantine."""

    def lines_of(self, source: str) -> Iterator[QuarantinedLine]:
        """The lines of this journal in quarantine, except those that were added in this run."""

    def remove(self, quarantine_ids: set[str]) -> None:
        """Remove lines, once they are stored."""

    def resolved_offsets(self, source: str) -> Set[int]:
        """Where the lines of this journal begin that were dropped or edited."""

    def resolution(self, source: str, offset: int, raw: bytes) -> Resolution | None:
        """How this line of this journal was resolved; None if it was not."""

    def resolution_of_large(self, source: str, offset: int, length: int) -> Resolution | None:
        """The same for a line that is too long to be held in memory."""

    def drop(self, lines: Iterable[QuarantinedLine]) -> None:
        """Remove lines that are never to be stored."""

    def begin_edit(self, resolution: Resolution) -> None:
        """Remember an edited line before it is stored. `remove` ends the edit."""

    def withdraw_edits(self, quarantine_ids: set[str]) -> None:
        """Forget edited lines that could not be stored."""


class Block(NamedTuple):
    """Whole lines of a journal without their line feeds; `offset` is the first one's, in bytes.

    `complete` is False for a last line without a line feed.
    """

    offset: int
    lines: list[bytes]
    complete: bool = True


class OversizedLine(NamedTuple):
    """A line too long to be held in memory. `complete` is False if the file ends inside it."""

    offset: int
    length: int
    complete: bool


class Piece(NamedTuple):
    """A part of a damaged line: a whole record (`flaw` is None), or other bytes, and what is wrong with them."""

    start: int
    raw: bytes
    flaw: str | None


class JournalPort(Protocol):
    """One journal, in blocks of whole lines. `padding` are the bytes that say nothing between records.

    `mapping_key` differs between mappings with which it can be read; empty without one.
    """

    name: str
    mapping_key: str
    compressed: bool
    padding: bytes

    def blocks(self, start: int = 0) -> Iterator[Block | OversizedLine]:
        """The lines from a byte offset on."""

    def pieces(self, offset: int, length: int) -> Iterator[bytes]:
        """The bytes of a part of the journal, in pieces."""

    def position_at(self, offset: int, records: int, latest: str) -> Position | None:
        """A position with fingerprints of the file; None if the file is not the one that was read."""

    def still_at(self, position: Position) -> bool:
        """Whether the file still has the bytes that the position has passed."""

    def decode(self, line: bytes) -> object:
        """The value of a line. Raises ValueError if it is not JSON."""

    def read(self, line: bytes) -> JournalRecord:
        """The record of a line, with values that cannot be stored replaced, or why it cannot be stored."""

    def salvage(self, line: bytes) -> Iterator[Piece]:
        """The whole records of a damaged line, and the parts between them."""
