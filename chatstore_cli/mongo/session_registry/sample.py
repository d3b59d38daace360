"""Random entries of the session registry for `chatstore verify`."""

from __future__ import annotations

from collections.abc import Sequence

from chatstore_cli.domain.session_registry import ACTIVE, PAUSED, RegistryEntry
from chatstore_cli.mongo.connection import Connection, Document, driver_errors, within_limit
from chatstore_cli.mongo.session_registry.documents import OWN_ENTRIES, to_entry

_OPEN: Document = {"workflows.status": {"$in": [ACTIVE, PAUSED]}}


class MongoRegistrySample:
    """A RegistrySample of at most `sample` documents, read within `seconds`."""

    def __init__(self, connection: Connection, collection: str, *, sample: int, seconds: float) -> None:
        self._connection = connection
        self.collection = collection
        self._sample = sample
        self._milliseconds = max(1, int(seconds * 1000))

    def open_entries(self) -> Sequence[RegistryEntry] | None:
        entries = self._connection.collection(self.collection)
        if self._connection.in_memory:
            with driver_errors(f"reading {self.collection}"):
                return list(map(to_entry, entries.find(_OPEN).limit(self._sample)))
        pipeline: list[Document] = [
            {"$sample": {"size": self._sample}},
            {"$match": {**_OPEN, **OWN_ENTRIES.filter()}},
            {"$project": {"switches": 0}},
        ]
        return within_limit(
            f"sampling {self.collection}",
            lambda: list(map(to_entry, entries.aggregate(pipeline, maxTimeMS=self._milliseconds))),
        )
