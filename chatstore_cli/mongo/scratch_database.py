"""A database that exists only for one run of a command."""

from __future__ import annotations

from chatstore_cli.mongo.connection import Connection, driver_errors


def drop_database(connection: Connection, name: str) -> None:
    """Remove all collections, and so the database. A user with the role readWrite may not drop the database itself."""
    with driver_errors(f"dropping {name}"):
        database = connection.client[name]
        for collection in database.list_collection_names():
            database.drop_collection(collection)
