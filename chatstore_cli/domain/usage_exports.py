"""Exports of the usage ledger: every row once, in an order that never changes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.usage_ledger import LedgerRow

_NUMBER = re.compile("[0-9]{1,18}")

START = "start"
"""The cursor before all rows."""


@dataclass(frozen=True, slots=True)
class ExportPlace:
    """A place in the order of exported rows: after the rows of all batches up to `batch`. `ledger` identifies the order."""

    ledger: str
    batch: int

    def to_cursor(self) -> str:
        """The place as text."""
        return f"{self.ledger}-{self.batch}"

    @classmethod
    def of_cursor(cls, cursor: str) -> ExportPlace | None:
        """The place of a cursor; None for the start. Raises BadValue."""
        if cursor in ("", START):
            return None
        ledger, separator, batch = cursor.rpartition("-")
        if not separator or not ledger.isalnum() or not _NUMBER.fullmatch(batch):
            raise BadValue(name="--after", value=cursor, expected=f"{START}, or the next cursor of an earlier export")
        return cls(ledger, int(batch))


@dataclass(frozen=True, slots=True)
class ExportedRow:
    """A row of the ledger, and the layout of its session, whose id is that of the row's snapshot."""

    row: LedgerRow
    layout: str


class UsageExports(Protocol):
    """Puts the rows of the ledger into batches. A batch never gets further rows, and a row that is in one stays there."""

    def newest(self) -> ExportPlace:
        """The place after the newest batch."""

    def extend(self, newest: ExportPlace) -> ExportPlace | None:
        """Put rows that are in no batch yet into a batch after the newest one. Returns its place, None without such rows.

        If another process was faster, the returned place is that of its batch.
        """

    def rows(self, after: int, until: int) -> Iterator[ExportedRow]:
        """The rows of the batches above `after`, up to `until`, in the order of export."""
