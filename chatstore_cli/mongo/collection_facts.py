"""What the server knows about a collection: its kind, its default collation, its identity."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import Any

import pymongo.errors as driver
from pymongo.database import Database

from chatstore_cli.domain.content import as_text
from chatstore_cli.mongo.error_codes import MISSING_RIGHT


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
    """The id of the collection in Python's notation of its bytes, which ledgers store."""
    uuid_text: str | None = None
    has_validator: bool = False
    is_usable: bool = True
    """False if the user may not list collections, and either has no right on this one or it does not exist."""

    @property
    def exists(self) -> bool:
        """Whether the collection exists."""
        return self.kind is not CollectionKind.ABSENT


class KnownCollections:
    """What was read about collections, so that one command of the server answers for all of them.

    The first question about a collection reads the facts of every one in `expected` too. What exists is not read again. An
    absent collection is looked up again each time, because chatstore or an application may have created it; only
    `remembering_absent` trusts an absence, and that for a short time.
    """

    def __init__(
        self,
        expected: Iterable[str] = (),
        *,
        trust_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        present: dict[str, CollectionFacts] | None = None,
    ) -> None:
        self._expected = frozenset(expected)
        self._trust_seconds = trust_seconds
        self._clock = clock
        self._present: dict[str, CollectionFacts] = {} if present is None else present
        self._absent_at: dict[str, float] = {}

    def remembering_absent(self, seconds: float) -> KnownCollections:
        """An object with the same facts that does not look up an absent collection again for some seconds."""
        return KnownCollections(self._expected, trust_seconds=seconds, clock=self._clock, present=self._present)

    def facts(self, database: Database[Any], name: str, *, fresh: bool = False) -> CollectionFacts:
        """The facts of a collection on a server, read again if `fresh`. Raises the driver's own errors."""
        if fresh:
            self._present.pop(name, None)
        elif (known := self._present.get(name)) is not None:
            return known
        elif self._clock() - self._absent_at.get(name, -inf) < self._trust_seconds:
            return CollectionFacts(name, CollectionKind.ABSENT)
        found = _read_facts(database, {name, *(self._expected - self._present.keys())})
        self._present |= {each: facts for each, facts in found.items() if facts.exists}
        self._absent_at |= {each: self._clock() for each, facts in found.items() if not facts.exists}
        return found[name]


def _read_facts(database: Database[Any], names: Iterable[str]) -> dict[str, CollectionFacts]:
    # Not Database.list_collections: that always asks the primary, and a reader may have only a secondary.
    wanted = sorted(names)
    try:
        described = _listed(database, wanted)
    except driver.OperationFailure as error:
        if error.code != MISSING_RIGHT:
            raise
        # Anybody may list the names of the collections on which they have a right.
        usable = {each["name"] for each in _listed(database, wanted, nameOnly=True, authorizedCollections=True)}
        return {name: CollectionFacts(name, is_usable=name in usable) for name in wanted}
    found = {facts.name: facts for facts in map(_facts, described)}
    return {name: found.get(name) or CollectionFacts(name, CollectionKind.ABSENT) for name in wanted}


def _listed(database: Database[Any], names: list[str], **options: Any) -> list[dict[str, Any]]:
    command = {
        "listCollections": 1,
        "filter": {"name": {"$in": names}},
        "cursor": {"batchSize": len(names) + 1},
        **options,
    }
    described: list[dict[str, Any]] = database.command(command, read_preference=database.read_preference)["cursor"][
        "firstBatch"
    ]
    return described


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
        described["name"],
        kind,
        collation,
        None if uuid is None else str(uuid),
        None if uuid is None else as_text(uuid),
        "validator" in options,
    )


def collation_text(collation: Mapping[str, Any]) -> str:
    """A collation in words, for example "en, strength 2"."""
    strength = f", strength {collation['strength']}" if "strength" in collation else ""
    return f"{collation.get('locale')}{strength}"
