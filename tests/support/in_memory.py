"""A database in this process's memory, which no other test shares."""

from __future__ import annotations

from typing import Any

import mongomock

from chatstore_cli.mongo.connection import Connection, describe


def connection_in_memory() -> Connection:
    """A Connection to an empty database of mongomock."""
    client: Any = mongomock.MongoClient(tz_aware=True)
    return Connection(client, client["test"], describe("mongomock://", "test"), in_memory=True)
