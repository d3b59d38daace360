"""The dates by which MongoDB deletes documents, counted under a time limit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chatstore_cli.domain.indexes.ttl import DateField
from chatstore_cli.domain.times import read_instant
from chatstore_cli.mongo.connection import Connection, Document, driver_errors, within_limit

# Every type except date, null and array. They are listed because each one is a range of an index, and `$not` is not.
_NEVER_EXPIRING = (
    "double", "string", "object", "binData", "objectId", "bool", "regex", "javascript", "int", "timestamp", "long",
    "decimal", "minKey", "maxKey",
)  # fmt: skip


class MongoDocumentDates:
    """DocumentDates with a time limit of `seconds` each; None if it passes. If counting types takes longer, `sample` documents are read."""

    def __init__(self, connection: Connection, *, seconds: float, sample: int) -> None:
        self._connection = connection
        self._seconds = seconds
        self._sample = sample
        self._limit: dict[str, Any] = {} if connection.in_memory else {"maxTimeMS": max(1, int(seconds * 1000))}

    def documents(self, collection: str) -> int:
        with driver_errors(f"counting {collection}"):
            return int(self._connection.collection(collection).estimated_document_count())

    def count_before(
        self, collection: str, field: str, moment: datetime, partial_filter: Mapping[str, Any] | None = None
    ) -> int | None:
        query = {"$and": [{field: {"$lte": moment}}, dict(partial_filter or {})]}
        documents = self._connection.collection(collection)
        doing = f"counting the dates in {field} of {collection}"
        return within_limit(doing, lambda: documents.count_documents(query, **self._limit))

    def next_after(self, collection: str, field: str, moment: datetime) -> datetime | None:
        cursor = self._connection.collection(collection).find({field: {"$gt": moment}}, {field: 1}).sort(field, 1)
        if self._limit:
            cursor = cursor.max_time_ms(self._limit["maxTimeMS"])
        first = within_limit(
            f"looking for the next date in {field} of {collection}", lambda: next(iter(cursor.limit(1)), None)
        )
        return None if first is None else read_instant(_value_at(first, field))

    def field_types(self, collection: str, field: str) -> DateField | None:
        if self._connection.in_memory:
            return self._types_in_memory(collection, field)
        counted = within_limit(
            f"counting the types of {field} in {collection}", lambda: self._count_types(collection, field)
        )
        if counted is not None:
            return counted
        return within_limit(f"sampling {field} in {collection}", lambda: self._sample_types(collection, field))

    def _count_types(self, collection: str, field: str) -> DateField:
        documents = self._connection.collection(collection)
        pipeline: list[Document] = [
            {"$match": {field: {"$type": list(_NEVER_EXPIRING)}, "$nor": [{field: {"$type": "date"}}]}},
            {"$group": {"_id": {"$type": f"${field}"}, "count": {"$sum": 1}}},
        ]
        absent = documents.count_documents({field: None}, **self._limit)
        return DateField(absent, _counts(documents.aggregate(pipeline, **self._limit)))

    def _sample_types(self, collection: str, field: str) -> DateField:
        pipeline: list[Document] = [
            {"$sample": {"size": self._sample}},
            {"$group": {"_id": {"$type": f"${field}"}, "count": {"$sum": 1}}},
        ]
        counts = _counts(self._connection.collection(collection).aggregate(pipeline, **self._limit))
        looked_at = sum(counts.values())
        absent = counts.pop("missing", 0) + counts.pop("null", 0)
        others = {kind: count for kind, count in counts.items() if kind not in ("date", "array")}
        return DateField(absent, others, looked_at)

    def _types_in_memory(self, collection: str, field: str) -> DateField:
        values = [
            _value_at(document, field) for document in self._connection.collection(collection).find({}, {field: 1})
        ]
        others = [type(value).__name__ for value in values if value is not None and not isinstance(value, datetime)]
        return DateField(values.count(None), {kind: others.count(kind) for kind in others})


def _counts(rows: Any) -> dict[str, int]:
    return {str(row["_id"]): int(row["count"]) for row in rows}


def _value_at(document: Document, path: str) -> Any:
    value: Any = document
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    if isinstance(value, list):  # a document with an array of dates expires by the earliest one
        return min((item for item in value if isinstance(item, datetime)), default=None)
    return value
