"""A database that exists only for one run of a command."""

from __future__ import annotations

from chatstore_cli.domain.errors import NotAllowed
from chatstore_cli.mongo.connection import Connection, driver_errors, time_limit

_PROOF = "chatstore_verify"


def prove_database(connection: Connection, name: str, seconds: float) -> None:
    """Create and drop a collection of a database, so that it can be used and removed. Raises Unreachable and NotAllowed."""
    try:
        with driver_errors(f"creating the database {name}"), time_limit(seconds):
            connection.client[name].create_collection(_PROOF, check_exists=False)
            connection.client[name].drop_collection(_PROOF)
    except NotAllowed as error:
        hint = (
            "The user needs the right to create a database, for example the role readWriteAnyDatabase. "
            "Without this right, start chatstore serve and run chatstore verify --api-url."
        )
        raise NotAllowed(what=error.message, hint=hint) from error


def drop_database(connection: Connection, name: str) -> None:
    """Remove all collections, and so the database. A user with the role readWrite may not drop the database itself."""
    with driver_errors(f"dropping {name}"):
        database = connection.client[name]
        for collection in database.list_collection_names():
            database.drop_collection(collection)
