"""The ports of looking after a database: its indexes, the dates by which it deletes, its health."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from chatstore_cli.domain.index_findings import StoredIndex
from chatstore_cli.domain.indexes import IndexSpec
from chatstore_cli.domain.retention import DateField


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
