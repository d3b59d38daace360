"""What the server knows about a collection: its kind, its default collation, its identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pymongo.errors as driver
from pymongo.database import Database

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


def read_facts(database: Database[Any], name: str) -> CollectionFacts:
    """The facts of a collection on a server. Raises the driver's own errors."""
    # Not Database.list_collections: that always asks the primary, and a reader may have only a secondary.
    command = {"listCollections": 1, "filter": {"name": name}}
    try:
        listing = database.command(command, read_preference=database.read_preference)
    except driver.OperationFailure as error:
        if error.code != _UNAUTHORIZED:
            raise
        return CollectionFacts(name)
    described = listing["cursor"]["firstBatch"]
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


def collation_text(collation: Mapping[str, Any]) -> str:
    """A collation in words, for example "en, strength 2"."""
    strength = f", strength {collation['strength']}" if "strength" in collation else ""
    return f"{collation.get('locale')}{strength}"
