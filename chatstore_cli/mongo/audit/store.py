"""Readings of messages in one collection, to which documents are only added.

A document is `{_id: {key_id, layout, session_id, window}, read_at}`. The `_id` is the reading itself, so storing it again,
also by another process, changes nothing. `read_at` is the first time in the window.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pymongo.errors import BulkWriteError

from chatstore_cli.domain.audit import Reading
from chatstore_cli.domain.foreign import OwnKind
from chatstore_cli.mongo.collections import require_exact_ids
from chatstore_cli.mongo.connection import Connection, driver_errors
from chatstore_cli.mongo.error_codes import DUPLICATE_KEY
from chatstore_cli.mongo.foreign_documents import require_own
from chatstore_cli.mongo.identifiers import is_storable
from chatstore_cli.mongo.own_documents import HasType, OwnDocuments, all_of

OWN_READINGS = OwnDocuments(
    OwnKind("a reading", "readings", "sessions"),
    all_of(HasType("_id", "object", (dict,)), HasType("read_at", "date", (datetime,))),
)


class MongoAudit:
    """An AuditStore over one MongoDB collection."""

    def __init__(self, connection: Connection, collection: str) -> None:
        self._connection, self._collection = connection, collection

    def add(self, readings: Sequence[Reading], read_at: datetime) -> None:
        storable = [each for each in readings if is_storable(each.session_id)]
        if not storable:
            return
        require_exact_ids(self._connection, self._collection)
        require_own(self._connection, self._collection, OWN_READINGS)
        rows = [{"_id": each._asdict(), "read_at": read_at} for each in storable]
        with driver_errors(f"recording who read messages in {self._collection}"):
            try:
                self._connection.database[self._collection].insert_many(rows, ordered=False)
            except BulkWriteError as error:
                if not _are_all_duplicates(error):
                    raise


def _are_all_duplicates(error: BulkWriteError) -> bool:
    details = error.details or {}
    return not details.get("writeConcernErrors") and all(
        each["code"] == DUPLICATE_KEY for each in details.get("writeErrors", ())
    )
