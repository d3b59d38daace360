"""The indexes of a MongoDB database: as they are, and changing them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pymongo.errors as driver

from chatstore_cli.domain.errors import ChatstoreError, Conflict
from chatstore_cli.domain.indexes.findings import StoredIndex
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.mongo.connection import Connection, Document, driver_errors

_DUPLICATES_SHOWN = 3
_DUPLICATE_SEARCH_MILLISECONDS = 10_000
_IS_GONE = {26, 27}  # NamespaceNotFound, IndexNotFound
_EXISTS_OTHERWISE = {85, 86}


class MongoIndexStore:
    """The indexes of one database. `patient` waits as long as building one takes; the application may go on writing."""

    def __init__(self, connection: Connection, patient: Connection) -> None:
        self._connection = connection
        self._patient = patient
        self._collations: dict[str, Any] | None = None

    def existing_collections(self) -> set[str]:
        """The names of the collections that are there."""
        with driver_errors("listing collections"):
            return set(self._connection.database.list_collection_names())

    def stored(self, collection: str) -> list[StoredIndex]:
        """Every index of a collection but the one on `_id`; none where there is no such collection."""
        with driver_errors(f"listing the indexes of {collection}"):
            found = self._connection.collection(collection).index_information()
            queries_collate = self._default_collation(collection) if found else None
        indexes = (_stored(collection, name, facts, queries_collate) for name, facts in found.items())
        return [index for index in indexes if index.keys != (("_id", 1),)]

    def create(self, spec: IndexSpec, name: str) -> None:
        """Build it. Raises Conflict, with `duplicates` among its facts, where values are to be unique and are not."""
        options: dict[str, Any] = {"name": name}
        if spec.unique:
            options["unique"] = True
        if spec.partial_filter:
            options["partialFilterExpression"] = dict(spec.partial_filter)
        if spec.expire_after_seconds is not None:
            options["expireAfterSeconds"] = spec.expire_after_seconds
        try:
            with driver_errors(f"creating index {name} on {spec.collection}"):
                self._patient.collection(spec.collection).create_index(list(spec.keys), **options)
        except Conflict as error:
            if not isinstance(error.__cause__, driver.DuplicateKeyError):
                raise
            if not spec.unique:
                return  # another process creates the same index at this moment
            fields = ", ".join(field for field, _ in spec.keys)
            raise Conflict(
                what=f"{spec.collection}: {fields} should be unique, and is not: {self._duplicates(spec)}.",
                hint="Give these documents different values, or remove the copies; then run it again.",
                duplicates=True,
            ) from error

    def drop(self, collection: str, name: str) -> None:
        """Drop it; it need not be there."""
        with driver_errors(f"dropping index {name} of {collection}"):
            try:
                self._patient.collection(collection).drop_index(name)
            except driver.OperationFailure as error:
                if error.code not in _IS_GONE:
                    raise

    def set_expiry(self, index: StoredIndex, seconds: int) -> None:
        """Change after how many seconds a TTL index deletes, without building it again."""
        self._modify(index, {"expireAfterSeconds": seconds})

    def unhide(self, index: StoredIndex) -> None:
        """Let queries use it again."""
        self._modify(index, {"hidden": False})

    def _modify(self, index: StoredIndex, options: Mapping[str, Any]) -> None:
        with driver_errors(f"changing index {index.name} of {index.collection}"):
            self._patient.database.command("collMod", index.collection, index={"name": index.name, **options})

    def _default_collation(self, collection: str) -> Any:
        if self._connection.in_memory:
            return None
        if self._collations is None:
            described = self._connection.database.list_collections()
            self._collations = {found["name"]: found.get("options", {}).get("collation") for found in described}
        return self._collations.get(collection)

    def _duplicates(self, spec: IndexSpec) -> str:
        """A few of the values that are there more than once, in words; not so many that finding them hurts."""
        fields = [field for field, _ in spec.keys]
        pipeline: list[Document] = [
            {"$match": dict(spec.partial_filter or {})},
            {"$group": {"_id": [{"$ifNull": [f"${field}", None]} for field in fields], "count": {"$sum": 1}}},
            {"$match": {"count": {"$gt": 1}}},
            {"$limit": _DUPLICATES_SHOWN},
        ]
        try:
            with driver_errors(f"looking for duplicates in {spec.collection}"):
                limits: dict[str, Any] = {"allowDiskUse": True, "maxTimeMS": _DUPLICATE_SEARCH_MILLISECONDS}
                found = list(self._connection.collection(spec.collection).aggregate(pipeline, **limits))
        except ChatstoreError as error:  # the search only makes a message better: its error is not the news
            return f"MongoDB found a value twice (which ones could not be looked up: {error})"
        return ", ".join(_in_words(row["_id"], row["count"]) for row in found)


def _in_words(values: list[Any], count: int) -> str:
    shown = ", ".join(repr(value) if isinstance(value, str) else str(value) for value in values)
    return f"{shown[:120]} is in {count:,} documents"


def _stored(collection: str, name: str, facts: Mapping[str, Any], queries_collate: Any) -> StoredIndex:
    collation = facts.get("collation")
    partial_filter = facts.get("partialFilterExpression")
    return StoredIndex(
        collection,
        name,
        tuple((field, _direction(direction)) for field, direction in facts["key"]),
        unique=bool(facts.get("unique")),
        sparse=bool(facts.get("sparse")),
        partial_filter=dict(partial_filter) if partial_filter else None,
        expire_after_seconds=facts.get("expireAfterSeconds"),
        hidden=bool(facts.get("hidden")),
        collation=None if collation == queries_collate else str((collation or {}).get("locale", "simple")),
    )


def _direction(direction: Any) -> Any:
    """1 and -1 as such, however the client that made the index wrote them (mongosh: 1.0)."""
    return int(direction) if isinstance(direction, int | float) and direction == int(direction) else direction
