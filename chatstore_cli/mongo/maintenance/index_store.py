"""The indexes of a MongoDB database: list, create, change and drop them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import pymongo.errors as driver

from chatstore_cli.core.search.indexes import UNUSED_FIELD
from chatstore_cli.domain.errors import ChatstoreError, Conflict, NotAllowed
from chatstore_cli.domain.indexes.findings import StoredIndex
from chatstore_cli.domain.indexes.ports import CollectionOptions
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.mongo.collection_facts import CollectionKind, collation_text
from chatstore_cli.mongo.collections import collection_facts, why_unsuitable
from chatstore_cli.mongo.connection import Connection, Document, driver_errors, within_limit
from chatstore_cli.mongo.exact import bytewise
from chatstore_cli.mongo.foreign_documents import collection_names
from chatstore_cli.mongo.stored_indexes import stored_indexes

_DUPLICATES_SHOWN = 3
_DUPLICATE_SEARCH_SECONDS = 10
_NOT_FOUND = {26, 27}  # NamespaceNotFound, IndexNotFound


class MongoIndexStore:
    """The IndexStore of one database. `patient` is a connection without a time limit, for builds; the application can write meanwhile."""

    def __init__(self, connection: Connection, patient: Connection) -> None:
        self._connection = connection
        self._patient = patient.reading_from_primary()

    def existing_collections(self) -> set[str]:
        return set(collection_names(self._connection))

    def options(self, collections: Iterable[str]) -> list[CollectionOptions]:
        return [
            CollectionOptions(
                facts.name,
                why_unsuitable(facts),
                None if facts.collation is None else collation_text(facts.collation),
            )
            for facts in (collection_facts(self._connection, name) for name in collections)
            if facts.exists
        ]

    def stored(self, collection: str) -> list[StoredIndex]:
        if collection_facts(self._connection, collection).kind is CollectionKind.VIEW:
            return []  # the server rejects the question
        with driver_errors(f"listing the indexes of {collection}"):
            return stored_indexes(self._connection.collection(collection))

    def create_if_allowed(self, specs: Iterable[IndexSpec]) -> None:
        """Build indexes without which reading is only slower. Without the right to build them, nothing happens."""
        with suppress(NotAllowed):
            for spec in specs:
                self.create(spec, spec.name)

    def create(self, spec: IndexSpec, name: str) -> None:
        """Build an index. Raises Conflict, with `duplicates` among its facts, if values must be unique and are not."""
        options: dict[str, Any] = {"name": name}
        if spec.unique:
            options["unique"] = True
        if spec.partial_filter:
            options["partialFilterExpression"] = dict(spec.partial_filter)
        if spec.expire_after_seconds is not None:
            options["expireAfterSeconds"] = spec.expire_after_seconds
        if spec.text_fields:
            options |= {"default_language": "none", "language_override": UNUSED_FIELD, "textIndexVersion": 3}
        try:
            with driver_errors(f"creating index {name} on {spec.collection}"):
                collection = self._patient.collection(spec.collection)
                keys: list[Any] = [(field, "text") for field in spec.text_fields] or list(spec.keys)
                collection.create_index(keys, **options, **bytewise(collection))
        except Conflict as error:
            if not isinstance(error.__cause__, driver.DuplicateKeyError):
                raise
            if not spec.unique:
                return  # another process creates the same index at this moment
            fields = ", ".join(field for field, _ in spec.keys)
            raise Conflict(
                what=f"Cannot create index {name} on {spec.collection}: {fields} is not unique: {self._named_duplicates(spec)}.",
                hint="Give these documents different values, or delete the duplicates, then run the command again.",
                duplicates=True,
            ) from error

    def drop(self, collection: str, name: str) -> None:
        with driver_errors(f"dropping index {name} of {collection}"):
            try:
                self._patient.collection(collection).drop_index(name)
            except driver.OperationFailure as error:
                if error.code not in _NOT_FOUND:
                    raise

    def set_expiry(self, index: StoredIndex, seconds: int) -> None:
        self._modify(index, {"expireAfterSeconds": seconds})

    def unhide(self, index: StoredIndex) -> None:
        self._modify(index, {"hidden": False})

    def _modify(self, index: StoredIndex, options: Mapping[str, Any]) -> None:
        with driver_errors(f"changing index {index.name} of {index.collection}"):
            self._patient.database.command("collMod", index.collection, index={"name": index.name, **options})

    def duplicates(self, spec: IndexSpec, seconds: float, most_documents: int | None = None) -> str | None:
        collection = self._connection.collection(spec.collection)
        fields = [field for field, _ in spec.keys]
        pipeline: list[Document] = [
            {"$match": dict(spec.partial_filter or {})},
            *([] if most_documents is None else [{"$limit": most_documents}]),
            {"$group": {"_id": [{"$ifNull": [f"${field}", None]} for field in fields], "count": {"$sum": 1}}},
            {"$match": {"count": {"$gt": 1}}},
            {"$limit": _DUPLICATES_SHOWN},
        ]
        limits: dict[str, Any] = {} if self._connection.in_memory else {"maxTimeMS": max(1, int(seconds * 1000))}
        found = within_limit(
            f"looking for duplicates in {spec.collection}",
            lambda: list(collection.aggregate(pipeline, allowDiskUse=True, **limits)),
        )
        return None if found is None else ", ".join(_duplicate_text(row["_id"], row["count"]) for row in found)

    def _named_duplicates(self, spec: IndexSpec) -> str:
        """A few values that several documents have, for the error that reports them."""
        try:
            found = self.duplicates(spec, _DUPLICATE_SEARCH_SECONDS)
        except (
            ChatstoreError
        ) as error:  # the missing index is the error to report; this one explains why no value is named
            return f"several documents have the same value (looking up which ones failed: {error})"
        return found or "several documents have the same value (looking up which ones took too long)"


def _duplicate_text(values: list[Any], count: int) -> str:
    shown = ", ".join(repr(value) if isinstance(value, str) else str(value) for value in values)
    return f"{shown[:120]} is in {count:,} documents"
