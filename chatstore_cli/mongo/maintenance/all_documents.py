"""The documents of a whole server: counted before the data of the embedded MongoDB are deleted."""

from __future__ import annotations

from chatstore_cli.mongo.connection import connect, driver_errors

_OWN_DATABASES = {"admin", "config", "local"}
_TIMEOUT_SECONDS = 10.0


def all_documents(uri: str) -> dict[str, int]:
    """The number of documents of each collection (`database.collection`), without the server's own databases."""
    connection = connect(uri, "admin", timeout_seconds=_TIMEOUT_SECONDS)
    documents = {}
    try:
        with driver_errors("counting the documents of the embedded MongoDB"):
            for database in sorted(set(connection.client.list_database_names()) - _OWN_DATABASES):
                names = connection.client[database].list_collection_names(filter={"type": {"$ne": "view"}})
                for name in sorted(name for name in names if not name.startswith("system.")):
                    documents[f"{database}.{name}"] = connection.client[database][name].estimated_document_count()
    finally:
        connection.client.close()
    return documents
