"""The facts of collections, and whether documents can be stored in one."""

from __future__ import annotations

from pymongo.collection import Collection
from pymongo.write_concern import WriteConcern

from chatstore_cli.domain.errors import UnsuitableCollection
from chatstore_cli.mongo.collection_facts import CollectionFacts, CollectionKind, collation_text
from chatstore_cli.mongo.connection import Connection, Document, driver_errors


def collection_facts(connection: Connection, name: str, *, fresh: bool = False) -> CollectionFacts:
    """The facts of a collection, read once for each connection and again if `fresh`. Raises the errors of domain/errors.py.

    See KnownCollections for collections that do not exist. A user who may not list collections gets the facts of an ordinary
    collection. In memory every collection is ordinary.
    """
    if connection.in_memory:
        exists = name in connection.database.list_collection_names()
        return CollectionFacts(name, CollectionKind.ORDINARY if exists else CollectionKind.ABSENT)
    with driver_errors(f"reading the options of {name}"):
        return connection.known_collections.facts(connection.database, name, fresh=fresh)


_WHY_UNSUITABLE = {
    CollectionKind.CAPPED: "MongoDB removes its oldest documents when it is full, so stored messages would be lost",
    CollectionKind.TIME_SERIES: "it accepts the same _id twice, so messages would be stored more than once",
    CollectionKind.VIEW: "MongoDB stores nothing in it",
}


def why_unsuitable(facts: CollectionFacts) -> str | None:
    """The kind of a collection in which documents cannot be stored reliably, with the reason; None for all others."""
    reason = _WHY_UNSUITABLE.get(facts.kind)
    return None if reason is None else f"a {facts.kind.value}: {reason}"


def collation_warning(facts: CollectionFacts) -> str | None:
    """The warning about a collection's collation for those who store in it; None if it compares texts byte by byte."""
    if facts.collation is None:
        return None
    return (
        f"{facts.name} has the collation {collation_text(facts.collation)}, for which different ids can be equal. "
        "chatstore compares ids byte by byte, for which its indexes must be made: run chatstore indexes check."
    )


def require_storable(connection: Connection, name: str, *, fresh: bool = False) -> CollectionFacts:
    """The facts of a collection that documents may be stored in, or that does not exist yet. Raises UnsuitableCollection."""
    facts = collection_facts(connection.reading_from_primary(), name, fresh=fresh)
    reason = why_unsuitable(facts)
    if reason is not None:
        raise UnsuitableCollection(
            what=f"{name} is {reason}. Nothing was written.",
            hint="Configure the name of an ordinary collection, or move the documents into one.",
        )
    return facts


def require_exact_ids(connection: Connection, name: str) -> None:
    """`require_storable` for a collection of chatstore whose `_id` contains the id of a session.

    Under a collation two sessions could have the same document.
    """
    facts = require_storable(connection, name)
    if facts.collation is not None:
        raise UnsuitableCollection(
            what=f"{name} has the collation {collation_text(facts.collation)}, and the _id of its documents contains the "
            "id of a session: two sessions could have the same document. Nothing was written.",
            hint="Drop it and create it again without a collation.",
        )


def require_removable(connection: Connection, name: str) -> None:
    """Raise UnsuitableCollection if documents cannot be deleted from this kind of collection."""
    kind = collection_facts(connection, name).kind
    if kind in (CollectionKind.TIME_SERIES, CollectionKind.VIEW):
        what = f"{name} is a {kind.value}, and MongoDB does not delete single documents from it. Nothing was deleted."
        raise UnsuitableCollection(what=what, hint="Delete the session in the collection that the documents come from.")


def acknowledged(write_concern: WriteConcern) -> WriteConcern:
    """The configured write concern, or 1 if it is 0: for stores that decide by the answers of the server."""
    return write_concern if write_concern.acknowledged else WriteConcern(w=1)


def acknowledged_collection(connection: Connection, name: str) -> Collection[Document]:
    """A collection whose writes the server acknowledges."""
    collection = connection.collection(name)
    return collection.with_options(write_concern=acknowledged(collection.write_concern))
