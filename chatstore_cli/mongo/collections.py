"""What the server knows about a collection: its kind, its default collation, its identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from chatstore_cli.domain.errors import NotAllowed, UnsuitableCollection
from chatstore_cli.mongo.connection import Connection, driver_errors

_UNAUTHORIZED = 13


class CollectionKind(Enum):
    """The kinds of collection that behave differently when documents are stored. The values are words for messages."""

    ABSENT = "does not exist"
    ORDINARY = "ordinary collection"
    CAPPED = "capped collection"
    TIME_SERIES = "time series collection"
    VIEW = "view"


@dataclass(frozen=True)
class CollectionFacts:
    """Facts of one collection. `collation` is its default collation, None if texts are compared byte by byte.

    `uuid` changes if the collection is dropped and created again; a view and an absent collection have none.
    """

    name: str
    kind: CollectionKind = CollectionKind.ORDINARY
    collation: Mapping[str, Any] | None = None
    uuid: str | None = None
    has_validator: bool = False

    @property
    def exists(self) -> bool:
        """Whether the collection exists."""
        return self.kind is not CollectionKind.ABSENT


def collection_facts(connection: Connection, name: str, *, fresh: bool = False) -> CollectionFacts:
    """The facts of a collection, read once for each connection and again if `fresh`. Raises the errors of domain/errors.py.

    An absent collection is looked up again each time. A user who may not list collections gets the facts of an ordinary
    collection. In memory every collection is ordinary.
    """
    known = connection.known_collections
    if not fresh and name in known:
        facts: CollectionFacts = known[name]
        return facts
    known.pop(name, None)
    facts = _read(connection, name)
    if facts.exists:
        known[name] = facts
    return facts


_WHY_UNSUITABLE = {
    CollectionKind.CAPPED: "MongoDB removes its oldest documents when it is full, so stored messages would be lost",
    CollectionKind.TIME_SERIES: "it accepts the same _id twice, so messages would be stored more than once",
    CollectionKind.VIEW: "MongoDB stores nothing in it",
}


def require_storable(connection: Connection, name: str, *, fresh: bool = False) -> CollectionFacts:
    """The facts of a collection that documents may be stored in, or that does not exist yet. Raises UnsuitableCollection."""
    facts = collection_facts(connection, name, fresh=fresh)
    reason = _WHY_UNSUITABLE.get(facts.kind)
    if reason is not None:
        raise UnsuitableCollection(
            what=f"{name} is a {facts.kind.value}: {reason}. Nothing was written.",
            hint="Configure the name of an ordinary collection, or move the documents into one.",
        )
    return facts


def require_removable(connection: Connection, name: str) -> None:
    """Raise UnsuitableCollection if documents cannot be deleted from this kind of collection."""
    kind = collection_facts(connection, name).kind
    if kind in (CollectionKind.TIME_SERIES, CollectionKind.VIEW):
        what = f"{name} is a {kind.value}, and MongoDB does not delete single documents from it. Nothing was deleted."
        raise UnsuitableCollection(what=what, hint="Delete the session in the collection that the documents come from.")


def _read(connection: Connection, name: str) -> CollectionFacts:
    if connection.in_memory:
        exists = name in connection.database.list_collection_names()
        return CollectionFacts(name, CollectionKind.ORDINARY if exists else CollectionKind.ABSENT)
    try:
        with driver_errors(f"reading the options of {name}"):
            # Not Database.list_collections: that always asks the primary, and a reader may have only a secondary.
            listing = connection.database.command(
                {"listCollections": 1, "filter": {"name": name}},
                read_preference=connection.database.read_preference,
            )
            described = listing["cursor"]["firstBatch"]
    except NotAllowed as error:
        if getattr(error.__cause__, "code", None) != _UNAUTHORIZED:  # a login that failed
            raise
        return CollectionFacts(name)
    return _facts(described[0]) if described else CollectionFacts(name, CollectionKind.ABSENT)


def _facts(described: Mapping[str, Any]) -> CollectionFacts:
    options = described.get("options", {})
    kinds = {"view": CollectionKind.VIEW, "timeseries": CollectionKind.TIME_SERIES}
    kind = kinds.get(described.get("type", "collection"), CollectionKind.ORDINARY)
    if options.get("capped"):
        kind = CollectionKind.CAPPED
    collation = options.get("collation")
    if collation is not None and collation.get("locale") == "simple":
        collation = None
    uuid = described.get("info", {}).get("uuid")
    return CollectionFacts(
        described["name"], kind, collation, None if uuid is None else str(uuid), "validator" in options
    )
