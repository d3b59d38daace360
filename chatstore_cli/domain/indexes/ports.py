"""The ports of looking after a database: its indexes, the dates by which it deletes, its health."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from chatstore_cli.domain.indexes.findings import StoredIndex
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.domain.indexes.ttl import DateField


class IndexStore(Protocol):
    """The indexes of a database."""

    def existing_collections(self) -> set[str]:
        """The names of the collections that are there."""
        ...

    def stored(self, collection: str) -> list[StoredIndex]:
        """Every index of a collection but the one on `_id`; none where there is no such collection."""
        ...

    def create(self, spec: IndexSpec, name: str) -> None:
        """Build it, as long as it takes. Raises Conflict, naming values, where they are to be unique and are not."""
        ...

    def drop(self, collection: str, name: str) -> None:
        """Drop it; it need not be there."""
        ...

    def set_expiry(self, index: StoredIndex, seconds: int) -> None:
        """Change after how many seconds a TTL index deletes, without building it again."""
        ...

    def unhide(self, index: StoredIndex) -> None:
        """Let queries use it again."""
        ...


class DocumentDates(Protocol):
    """The dates in documents by which the database deletes. Each answer comes within a time limit, or says None."""

    def documents(self, collection: str) -> int:
        """About how many documents there are."""
        ...

    def count_before(
        self, collection: str, field: str, moment: datetime, partial_filter: Mapping[str, Any] | None = None
    ) -> int | None:
        """How many documents hold a date up to the moment; None where the time limit passed."""
        ...

    def next_after(self, collection: str, field: str, moment: datetime) -> datetime | None:
        """The earliest date after the moment; None where there is none, or the time limit passed."""
        ...

    def field_types(self, collection: str, field: str) -> DateField | None:
        """What the documents hold in a field, counted, or sampled where counting takes too long; None if that does too."""
        ...


class ServerFacts(NamedTuple):
    """What a server says about itself. `kind` is standalone, replica set (with its name) or sharded cluster."""

    version: str
    kind: str
    writable: bool


class ServerProbe(Protocol):
    """Asks a server how it is, and writes to a scratch collection that is dropped again whatever happens."""

    def facts(self) -> ServerFacts:
        """Connect, log in, and ask."""
        ...

    def acknowledged_write(self, seconds: float) -> str:
        """Write one document under the configured write concern; says which. Raises Overdue where nobody confirms it."""
        ...

    def round_trip(self) -> None:
        """Write a document, read it back, delete it. Raises ChatstoreError where what came back is another."""
        ...


class SequenceSample(NamedTuple):
    """Sessions whose message numbers were looked at, and those with a gap, or with one number twice."""

    looked_at: int
    with_gaps: list[str]
    with_doubles: list[str]


class SizeSample(NamedTuple):
    """Documents whose size was looked at, and the large ones among them: collection, id, bytes."""

    looked_at: int
    large: list[tuple[str, str, int]]


class DocumentSamples(Protocol):
    """Looks at documents taken at random, under a time limit; None where it passed."""

    def sequences(self, collection: str) -> SequenceSample | None:
        """How the messages of sessions are numbered."""
        ...

    def sizes(self, collection: str, threshold: int) -> SizeSample | None:
        """Which documents have `threshold` bytes or more."""
        ...


class PendingLines(NamedTuple):
    """What a flush would do now: journals and lines there are, lines to store, lines that cannot be, torn last lines.

    `missing` lines were stored once and are in the database no more, though by their own time they have not expired;
    `in_quarantine` lines wait to be mended.
    """

    journals: int
    lines: int
    to_store: int
    to_quarantine: int
    torn: int
    missing: int = 0
    in_quarantine: int = 0


class PendingJournal(Protocol):
    """The journals against the database."""

    def count(self, seconds: float) -> PendingLines:
        """What is not stored yet. Raises NotFound where there is no journal, Overdue where it takes too long."""
        ...
