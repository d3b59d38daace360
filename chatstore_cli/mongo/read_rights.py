"""Which collections the user may read, by the privileges that the server reports."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chatstore_cli.domain.errors import ChatstoreError, NotAllowed, Unreachable
from chatstore_cli.mongo.connection import Connection, driver_errors
from chatstore_cli.mongo.foreign_documents import lacks_right


def unreadable_among(connection: Connection, names: Iterable[str]) -> list[str]:
    """Those of the collections that the user has no right to read.

    Empty if nobody has logged in, and on servers that do not report privileges: then a read reports the missing right.
    """
    if connection.in_memory:
        return []
    database = connection.database
    try:
        with driver_errors("reading the rights of the user"):
            status = database.command(
                {"connectionStatus": 1, "showPrivileges": True}, read_preference=database.read_preference
            )
    except NotAllowed as error:
        if not lacks_right(error):  # the login failed
            raise
        return []
    except Unreachable:
        raise
    except ChatstoreError:  # most likely another database behind MongoDB's protocol
        return []
    known = status.get("authInfo", {})
    privileges = known.get("authenticatedUserPrivileges")
    if not known.get("authenticatedUsers") or privileges is None:
        return []
    resources = [each.get("resource", {}) for each in privileges if "find" in each.get("actions", ())]
    return [name for name in names if not any(_has(each, database.name, name) for each in resources)]


def _has(resource: dict[str, Any], database: str, collection: str) -> bool:
    """Whether a resource of a privilege has the collection. An empty name is every database, or every collection."""
    if resource.get("anyResource"):
        return True
    return resource.get("db") in ("", database) and resource.get("collection") in ("", collection)
