"""The ports of database maintenance: indexes, expiry dates, health."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from chatstore_cli.domain.indexes.findings import StoredIndex
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.domain.indexes.ttl import DateField


class CollectionOptions(NamedTuple):
    """An existing collection. `unsuitable` is why documents cannot be stored in it, `collation` its collation in words."""

    name: str
    unsuitable: str | None = None
    collation: str | None = None


class IndexStore(Protocol):
    """The indexes of a database."""

    def existing_collections(self) -> set[str]:
        """The names of the existing collections."""

    def options(self, collections: Iterable[str]) -> list[CollectionOptions]:
        """The options of those of the collections that exist."""

    def stored(self, collection: str) -> list[StoredIndex]:
        """Every index of a collection except the one on `_id`; empty if the collection does not exist or is a view."""

    def create(self, spec: IndexSpec, name: str) -> None:
        """Build an index, however long it takes. Raises Conflict, naming values, if values must be unique and are not."""

    def duplicates(self, spec: IndexSpec, seconds: float, most_documents: int | None = None) -> str | None:
        """A few values of a unique index that several documents have, as text; empty if none has.

        Only the first `most_documents` that the index would have are read. None if the time limit passed.
        """

    def drop(self, collection: str, name: str) -> None:
        """Drop an index, if it exists."""

    def set_expiry(self, index: StoredIndex, seconds: int) -> None:
        """Change the expireAfterSeconds of a TTL index, without a rebuild."""

    def unhide(self, index: StoredIndex) -> None:
        """Let queries use the index again."""


class DocumentDates(Protocol):
    """The dates by which MongoDB deletes documents. Each answer has a time limit; None if it passed."""

    def documents(self, collection: str) -> int:
        """The approximate number of documents."""

    def count_before(
        self, collection: str, field: str, moment: datetime, partial_filter: Mapping[str, Any] | None = None
    ) -> int | None:
        """How many documents have a date up to the moment; None if the time limit passed."""

    def next_after(self, collection: str, field: str, moment: datetime) -> datetime | None:
        """The earliest date after the moment; None if there is none or the time limit passed."""

    def field_types(self, collection: str, field: str) -> DateField | None:
        """The types of a field: counted, or sampled if counting takes too long; None if sampling takes too long as well."""


class ServerFacts(NamedTuple):
    """Version and kind of a server: standalone, replica set (with its name) or sharded cluster."""

    version: str
    kind: str
    writable: bool


class ServerProbe(Protocol):
    """Checks a server. What it writes goes to a scratch collection that is always dropped."""

    def facts(self) -> ServerFacts:
        """Connect, log in, and read version, kind and writability."""

    def acknowledged_write(self, seconds: float) -> str:
        """Write one document with the configured write concern, and return its text. Raises Overdue without acknowledgement."""

    def round_trip(self) -> None:
        """Write a document, read it back, delete it. Raises ChatstoreError if the document read is another one."""


class SequenceSample(NamedTuple):
    """A sample of sessions: how many were checked, and which have a gap or a duplicate among their message numbers."""

    looked_at: int
    with_gaps: list[str]
    with_doubles: list[str]


class SizeSample(NamedTuple):
    """A sample of documents: how many were measured, and the large ones as collection, id, bytes."""

    looked_at: int
    large: list[tuple[str, str, int]]


class DocumentSamples(Protocol):
    """Checks random documents under a time limit; None if it passed."""

    def sequences(self, collection: str) -> SequenceSample | None:
        """Gaps and duplicates in the message numbers of sessions."""

    def sizes(self, collection: str, threshold: int) -> SizeSample | None:
        """The documents of `threshold` bytes or more."""


class PendingLines(NamedTuple):
    """What a flush would do now: `journals` with `lines`, of which `to_store` would be stored and `to_quarantine` cannot be.

    `incomplete` counts incomplete last lines. `missing` lines were stored once and are no longer in the database, although
    their own time has not expired. `in_quarantine` lines can be repaired and retried.
    """

    journals: int
    lines: int
    to_store: int
    to_quarantine: int
    incomplete: int
    missing: int = 0
    in_quarantine: int = 0
