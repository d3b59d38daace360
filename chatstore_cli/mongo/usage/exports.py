"""Batches of exported ledger rows: each row once, whatever clocks, elections and killed or slow processes do.

One document names the newest batch and lists its rows. A row has the number of its batch in `exported_in`. If the row has
changed since then, which only opening balances do, the number is negative, and the row comes into a later batch again. To
add a batch, a process

1. writes the number of the newest batch into all of its rows,
2. then reads rows without a number, or with a negative one,
3. and replaces the document by one that lists these as the next batch, if it still names the batch of step 1.

So rows come into the next batch only after every row of all earlier batches has its number, and no row is in two batches. A
process that is held between two steps either finds the document replaced, or no batch was added meanwhile. A batch is
complete as soon as it exists, so no row appears in it later. The order does not depend on clocks, so rows that are stored
late, or by older versions, are exported later. Everything is read and written with a majority of the servers, so an election
undoes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError
from pymongo.write_concern import WriteConcern

from chatstore_cli.domain.usage_exports import ExportedRow, ExportPlace
from chatstore_cli.mongo.bson_values import whole_number
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.exact import own_collation
from chatstore_cli.mongo.foreign_documents import require_writable
from chatstore_cli.mongo.identifiers import id_text
from chatstore_cli.mongo.ledger_layouts import FIRST, OTHER
from chatstore_cli.mongo.usage.rows import OWN_EXPORTS, OWN_ROWS, row_of

_BATCH = 2_000
"""The highest number of rows in a batch. Their ids are in one document."""

_NEWEST = "newest"
_MAJORITY = WriteConcern("majority")


class MongoUsageExports:
    """The UsageExports of the ledger in the collection `rows`. The collection `exports` has the newest batch."""

    def __init__(self, connection: Connection, rows: str, exports: str) -> None:
        self._connection = connection = connection.reading_majority()
        self._rows: Collection[Document] = connection.collection(rows).with_options(write_concern=_MAJORITY)
        self._exports: Collection[Document] = connection.collection(exports).with_options(write_concern=_MAJORITY)

    def newest(self) -> ExportPlace:
        require_writable(self._connection, self._rows.name, OWN_ROWS)
        require_writable(self._connection, self._exports.name, OWN_EXPORTS)
        with driver_errors(f"reading {self._exports.name}"):
            return self._noted(self._document())

    def extend(self, newest: ExportPlace) -> ExportPlace | None:
        with driver_errors(f"exporting {self._rows.name}"):
            batch = newest.batch + 1
            pending = {**_without(batch), **OWN_ROWS.filter()}
            ids = [row["_id"] for row in self._rows.find(pending, {"_id": 1}).limit(_BATCH)]
            if not ids:
                return None
            is_newest = {"_id": _NEWEST, "ledger": newest.ledger, "batch": newest.batch}
            self._exports.update_one(is_newest, {"$set": {"batch": batch, "row_ids": ids}})
            return self._noted(self._document())

    def rows(self, after: int, until: int) -> Iterator[ExportedRow]:
        with driver_errors(f"reading {self._rows.name}"):
            found = self._rows.find({"exported_in": {"$gt": after, "$lte": until}}, allow_disk_use=True)
            for document in found.sort([("exported_in", 1), ("_id", 1)]):
                layout = OTHER if document.get("layout") == OTHER else FIRST
                yield ExportedRow(row_of(id_text(document["chat_id"]), document), layout)

    def _document(self) -> Document:
        """The document of the newest batch, which is made at the first export, or after it was removed by hand."""
        document = self._exports.find_one({"_id": _NEWEST})
        if document is not None:
            return document
        noted = self._rows.find({"exported_in": {"$type": "number"}}, {"exported_in": 1})
        ends = [row["exported_in"] for way in (1, -1) for row in noted.clone().sort("exported_in", way).limit(1)]
        highest = max((abs(whole_number(end) or 0) for end in ends), default=0)
        # A new name: rows that were listed in the removed document come into another batch now.
        first = {"_id": _NEWEST, "ledger": uuid.uuid4().hex[:12], "batch": highest, "row_ids": []}
        try:
            self._exports.insert_one(dict(first))
        except DuplicateKeyError:
            return self._document()
        return first

    def _noted(self, document: Document) -> ExportPlace:
        """The place of the newest batch, after its number was written into all of its rows."""
        ids: list[Any] = document["row_ids"]
        if ids:
            listed = {"_id": {"$in": ids}, **_without(document["batch"])}
            # These ids exist or existed, and no other id equals one of them in the collation of the index on `_id`.
            self._rows.update_many(listed, {"$set": {"exported_in": document["batch"]}}, **own_collation(self._rows))
        return ExportPlace(document["ledger"], document["batch"])


def _without(batch: int) -> Document:
    """A filter for rows that are in no batch, or have changed since an earlier one than this."""
    return {"$or": [{"exported_in": None}, {"exported_in": {"$gt": -batch, "$lt": 0}}]}
