"""A random sample of stored sessions for `chatstore verify`: how messages are numbered, how large documents are."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from chatstore_cli.domain.indexes.ports import SequenceSample, SizeSample
from chatstore_cli.mongo.connection import Connection, Document, driver_errors, within_limit
from chatstore_cli.mongo.identifiers import id_text
from chatstore_cli.mongo.own_documents import OwnDocuments
from chatstore_cli.mongo.session_documents.segment_reader import LAST_SEGMENT, SegmentReader

_MAX_SAMPLED_SHARE = 0.05
"""Above this share of a collection, `$sample` reads all of it anyway."""

_MAX_NAMES = 5
_SESSIONS_PER_QUERY = 200


class MongoDocumentSamples:
    """Reads `sample` random documents within `seconds`, or all documents if these are not many more.

    `own` has, for each collection, its own documents. The others are left out.
    """

    def __init__(
        self,
        connection: Connection,
        own: Mapping[str, OwnDocuments],
        *,
        sample: int,
        seconds: float,
        segments: Mapping[str, str],
    ) -> None:
        self._connection = connection
        self._own = own
        self._segments = segments
        self._sample = sample
        self._milliseconds = max(1, int(seconds * 1000))

    def sequences(self, collection: str) -> SequenceSample | None:
        """How the messages of sessions are numbered, in segments too; None after the time limit. Without numbers, no gaps."""
        facts = {"name": {"$ifNull": ["$chat_id", "$_id"]}, "numbers": "$messages.sequence", LAST_SEGMENT: 1}
        rows = self._sampled(collection, [{"$project": facts}])
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
        """The largest few documents of `threshold` bytes or more; None after the time limit."""
        name = {"$ifNull": ["$chat_id", {"$ifNull": ["$session_id", "$_id"]}]}
        rows = self._sampled(collection, [{"$project": {"name": name, "size": {"$bsonSize": "$$ROOT"}}}])
        if rows is None:
            return None
        large = sorted(((row["size"], str(row["name"])) for row in rows if row["size"] >= threshold), reverse=True)
        return SizeSample(len(rows), [(collection, name, size) for size, name in large[:_MAX_NAMES]])

    def _in_segments(self, collection: str, last_segments: dict[str, Any]) -> dict[str, list[int]] | None:
        """The sequences in the segments that count for these heads; None after the time limit."""
        heads = self._connection.collection(collection)
        segments = self._connection.collection(self._segments[collection])
        reader = SegmentReader(heads, segments, in_memory=self._connection.in_memory)
        deadline = time.monotonic() + self._milliseconds / 1000
        sequences: dict[str, list[int]] = {}
        with driver_errors(f"sampling {segments.name}"):
            names = list(last_segments)
            for start in range(0, len(names), _SESSIONS_PER_QUERY):
                owners = reader.segment_ids(names[start : start + _SESSIONS_PER_QUERY]).values()
                for name in dict.fromkeys(owners):
                    counting = [segment_id for _, segment_id in reader.counting_segments(name, last_segments[name])]
                    numbers: list[Document] = [
                        {"$match": {"_id": {"$in": counting}}},
                        {"$project": {"numbers": "$messages.sequence"}},
                    ]
                    for row in segments.aggregate(numbers):
                        sequences.setdefault(name, []).extend(_whole_numbers(row.get("numbers")))
                        if time.monotonic() > deadline:
                            return None
        return sequences

    def _sampled(self, collection: str, shape: list[Document]) -> list[Document] | None:
        own = self._own.get(collection)
        return sampled(self._connection, collection, own, shape, sample=self._sample, milliseconds=self._milliseconds)


def sampled(
    connection: Connection,
    collection: str,
    own: OwnDocuments | None,
    shape: list[Document],
    *,
    sample: int,
    milliseconds: int,
) -> list[Document] | None:
    """Random own documents in this shape (stages of a pipeline); None after the time limit. In memory there are none."""
    if connection.in_memory:
        return []
    documents = connection.collection(collection)

    def read() -> list[Document]:
        reads_all = documents.estimated_document_count() * _MAX_SAMPLED_SHARE <= sample
        chosen: list[Document] = [] if reads_all else [{"$sample": {"size": sample}}]
        pipeline = [*chosen, *([{"$match": own.filter()}] if own else []), *shape]
        return list(documents.aggregate(pipeline, maxTimeMS=milliseconds))

    return within_limit(f"sampling {collection}", read)


def _whole_numbers(values: Any) -> list[int]:
    if not isinstance(values, list):
        return []
    whole = (value for value in values if isinstance(value, int) or (isinstance(value, float) and value.is_integer()))
    return [int(value) for value in whole if not isinstance(value, bool)]
