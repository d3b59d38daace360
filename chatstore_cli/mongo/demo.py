"""The database of `chatstore demo`, marked as such: the demo never touches one that it did not make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chatstore_cli.mongo.connection import Connection, driver_errors

MARK = "chatstore_demo"
"""The collection whose presence says that the whole database is the demo's."""


class MongoSampleStore:
    """A SampleStore in the connection's database."""

    def __init__(self, connection: Connection, sessions_collection: str) -> None:
        self._database = connection.database
        self._sessions = connection.collection(sessions_collection)

    def holds_others(self) -> bool:
        """Whether there are collections, and not the demo's mark among them."""
        with driver_errors("looking at the demo's database"):
            names = self._database.list_collection_names()
        return bool(names) and MARK not in names

    def contents(self) -> dict[str, int]:
        """Collection -> about how many documents; from the server's own counters, so it scans nothing."""
        with driver_errors("looking at the demo's database"):
            names = sorted(self._database.list_collection_names())
            return {name: self._database[name].estimated_document_count() for name in names}

    def replace(self, sessions: Sequence[Mapping[str, Any]]) -> None:
        """Drop what is there, mark the database, store the sessions."""
        with driver_errors("storing the sample sessions"):
            self._drop()
            self._database[MARK].insert_one({"_id": "made by chatstore demo; chatstore demo --remove drops it"})
            self._sessions.insert_many([dict(session) for session in sessions])

    def drop(self) -> None:
        """Drop the whole database."""
        with driver_errors("dropping the demo's database"):
            self._drop()

    def _drop(self) -> None:
        # A collection at a time, which a user with readWrite may do; a database without any is gone. The mark goes last
        # and comes first, so that whatever a crash leaves behind is still known as the demo's.
        names = self._database.list_collection_names()
        for name in sorted(names, key=MARK.__eq__):
            self._database.drop_collection(name)
