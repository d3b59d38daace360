"""`usage --after`: the rows of the usage ledger after a cursor, each once, and the cursor after the last row."""

from __future__ import annotations

from collections.abc import Iterator

from chatstore_cli.domain.errors import Conflict
from chatstore_cli.domain.usage_exports import START, ExportedRow, ExportPlace, UsageExports


class UsageExport:
    """The rows after a cursor, streamed. After all rows have been read, `cursor` is the next cursor.

    The same cursor returns the same rows in the same order, and then new rows. Raises BadValue for an invalid cursor, and
    Conflict for a cursor of another ledger.
    """

    def __init__(self, exports: UsageExports, cursor: str) -> None:
        self._exports = exports
        after = ExportPlace.of_cursor(cursor)
        self._newest = exports.newest()
        self._after = 0 if after is None else after.batch
        if after is not None and (after.ledger != self._newest.ledger or after.batch > self._newest.batch):
            raise Conflict(
                what=f"The cursor {cursor} is not one of this usage ledger: it belongs to another database, or an older "
                "state of the ledger was restored.",
                hint=f"Export all rows again with --after {START}, and skip the rows whose usage_id you have.",
            )

    @property
    def cursor(self) -> str:
        """The cursor after the rows that were read."""
        return self._newest.to_cursor()

    def __iter__(self) -> Iterator[ExportedRow]:
        """The rows that are in the ledger now. Rows that arrive meanwhile may be among them."""
        yield from self._exports.rows(self._after, self._newest.batch)
        while (place := self._exports.extend(self._newest)) is not None:
            yield from self._exports.rows(self._newest.batch, place.batch)
            self._newest = place
