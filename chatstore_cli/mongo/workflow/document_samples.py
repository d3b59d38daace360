"""A random sample of stored sessions, for the checks of `chatstore verify`: how messages are numbered, how large documents are."""

from __future__ import annotations

import time
from typing import Any

import pymongo.errors as driver

from chatstore_cli.domain.errors import Overdue
from chatstore_cli.domain.indexes.ports import SequenceSample, SizeSample
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.identifiers import id_text
from chatstore_cli.mongo.workflow.segment_reader import LAST_SEGMENT, SegmentReader

_SAMPLING_PAYS_BELOW = 0.05  # above this share of a collection, $sample reads all of it anyway
_NAMED = 5
_AT_ONCE = 200


class MongoDocumentSamples:
    """Looks at `sample` documents, taken at random, within `seconds`; at all of them where that is not many more."""

    def __init__(self, connection: Connection, *, sample: int, seconds: float, segments: str) -> None:
        self._connection = connection
        self._segments = connection.collection(segments)
        self._sample = sample
        self._milliseconds = max(1, int(seconds * 1000))

    def sequences(self, collection: str) -> SequenceSample | None:
        """How the messages of sessions are numbered, in segments too; a session without numbers has no gaps."""
        facts = {"name": {"$ifNull": ["$chat_id", "$_id"]}, "numbers": "$messages.sequence", LAST_SEGMENT: 1}
        rows = self._look(collection, [{"$project": facts}])
        moved = (
            None
            if rows is None
            else self._in_segments(collection, {id_text(row["name"]): row.get(LAST_SEGMENT) for row in rows})
        )
        if rows is None or moved is None:
            return None
        numbered = [(id_text(row["name"]), _whole_numbers(row.get("numbers"))) for row in rows]
        numbered = [(name, moved.get(name, []) + numbers) for name, numbers in numbered]
        with_gaps = [name for name, numbers in numbered if numbers and max(numbers) - min(numbers) >= len(set(numbers))]
        with_doubles = [name for name, numbers in numbered if len(set(numbers)) < len(numbers)]
        return SequenceSample(len(numbered), with_gaps, with_doubles)

    def sizes(self, collection: str, threshold: int) -> SizeSample | None:
        """Which documents have `threshold` bytes or more: the largest few of them."""
        name = {"$ifNull": ["$chat_id", {"$ifNull": ["$session_id", "$_id"]}]}
        rows = self._look(collection, [{"$project": {"name": name, "size": {"$bsonSize": "$$ROOT"}}}])
        if rows is None:
            return None
        large = sorted(((row["size"], str(row["name"])) for row in rows if row["size"] >= threshold), reverse=True)
        return SizeSample(len(rows), [(collection, name, size) for size, name in large[:_NAMED]])

    def _in_segments(self, collection: str, last_segments: dict[str, Any]) -> dict[str, list[int]] | None:
        """The sequences in the segments that count for these heads; None where the server gives up."""
        heads = self._connection.collection(collection)
        reader = SegmentReader(heads, self._segments, in_memory=self._connection.in_memory)
        until = time.monotonic() + self._milliseconds / 1000
        found: dict[str, list[int]] = {}
        with driver_errors(f"sampling {self._segments.name}"):
            names = list(last_segments)
            for at in range(0, len(names), _AT_ONCE):
                for name in dict.fromkeys(reader.ids(names[at : at + _AT_ONCE]).values()):
                    visible = [segment for _, segment in reader.visible(name, last_segments[name])]
                    for row in self._segments.find({"_id": {"$in": visible}}, {"messages.sequence": 1}):
                        found.setdefault(name, []).extend(_whole_numbers(_sequences(row)))
                        if time.monotonic() > until:
                            return None
        return found

    def _look(self, collection: str, shape: list[Document]) -> list[Document] | None:
        """What the shape makes of documents taken at random; None where the server gives up after the time limit."""
        if self._connection.in_memory:
            return []
        documents = self._connection.collection(collection)
        sampling: Document = {"$sample": {"size": self._sample}}
        try:
            with driver_errors(f"sampling {collection}"):
                few = documents.estimated_document_count() * _SAMPLING_PAYS_BELOW <= self._sample
                pipeline = shape if few else [sampling, *shape]
                return list(documents.aggregate(pipeline, maxTimeMS=self._milliseconds))
        except Overdue as error:
            if isinstance(error.__cause__, driver.ExecutionTimeout):
                return None
            raise


def _sequences(segment: Document) -> list[Any]:
    stored = segment.get("messages")
    return [each.get("sequence") for each in stored if isinstance(each, dict)] if isinstance(stored, list) else []


def _whole_numbers(values: Any) -> list[int]:
    if not isinstance(values, list):
        return []
    whole = (value for value in values if isinstance(value, int) or (isinstance(value, float) and value.is_integer()))
    return [int(value) for value in whole if not isinstance(value, bool)]
