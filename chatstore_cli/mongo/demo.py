"""The database of `chatstore demo`, which has a mark: the demo never changes a database without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chatstore_cli.mongo.connection import Connection, driver_errors

MARK = "chatstore_demo"
"""The collection that marks the whole database as the demo's."""


class MongoSampleStore:
    """A SampleStore in the connection's database."""

    def __init__(self, connection: Connection, sessions_collection: str) -> None:
        self._database = connection.database
        self._sessions = connection.collection(sessions_collection)

    def has_foreign_content(self) -> bool:
        with driver_errors("reading the demo's database"):
            names = self._database.list_collection_names()
        return bool(names) and MARK not in names

    def contents(self) -> dict[str, int]:
        with driver_errors("reading the demo's database"):
            names = sorted(self._database.list_collection_names())
            return {name: self._database[name].estimated_document_count() for name in names}

    def replace(self, sessions: Sequence[Mapping[str, Any]]) -> None:
        self.drop()
        with driver_errors("storing the sample sessions"):
            self._database[MARK].insert_one({"_id": "made by chatstore demo; chatstore demo --remove drops it"})
            self._sessions.insert_many([dict(session) for session in sessions])

    def drop(self) -> None:
        # A user with the role readWrite may drop collections, but not databases. A database without collections does not
        # exist. The mark is created first and dropped last, so that a crash does not leave a database without it.
        with driver_errors("dropping the demo's database"):
            for name in sorted(self._database.list_collection_names(), key=MARK.__eq__):
                self._database.drop_collection(name)
