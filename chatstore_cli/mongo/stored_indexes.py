"""The indexes of a collection as the server lists them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo.collection import Collection

from chatstore_cli.domain.indexes.findings import StoredIndex, TextOptions
from chatstore_cli.mongo.collection_facts import collation_text
from chatstore_cli.mongo.connection import Document


def stored_indexes(collection: Collection[Document]) -> list[StoredIndex]:
    """Every index of a collection except the one on `_id`. Raises the driver's own errors; a view has none to list."""
    by_name = collection.index_information()
    indexes = (_stored(collection.name, name, facts) for name, facts in by_name.items())
    return [index for index in indexes if index.keys != (("_id", 1),)]


def _stored(collection: str, name: str, facts: Mapping[str, Any]) -> StoredIndex:
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
        collation=None if collation is None else collation_text(collation),
        text=_text_options(facts),
    )


def _text_options(facts: Mapping[str, Any]) -> TextOptions | None:
    if "weights" not in facts:
        return None
    return TextOptions(
        fields=tuple(facts["weights"]),
        language=str(facts.get("default_language", "english")),
        language_field=str(facts.get("language_override", "language")),
        version=int(facts.get("textIndexVersion", 1)),
    )


def _direction(direction: Any) -> Any:
    """A direction with 1.0 as 1, because mongosh writes floats."""
    return int(direction) if isinstance(direction, int | float) and direction == int(direction) else direction
