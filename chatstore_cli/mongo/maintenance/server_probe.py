"""What `chatstore verify` asks a MongoDB: how the server is, whether it keeps what is written, how documents look."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import pymongo.errors as driver
from pymongo.collection import Collection
from pymongo.write_concern import WriteConcern

from chatstore_cli.domain.errors import ChatstoreError, Overdue
from chatstore_cli.domain.indexes.ports import SequenceSample, ServerFacts, SizeSample
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.identifiers import id_text
from chatstore_cli.mongo.workflow.segment_reader import LAST_SEGMENT, SegmentReader

SCRATCH_PREFIX = "chatstore_verify_"
_SAMPLING_PAYS_BELOW = 0.05  # above this share of a collection, $sample reads all of it anyway
_NAMED = 5
_AT_ONCE = 200


class MongoServerProbe:
    """Asks one server. What it writes goes to a scratch collection with a random name."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def facts(self) -> ServerFacts:
        """Connect, log in, and ask."""
        if self._connection.in_memory:
            return ServerFacts("5.0", "memory (mongomock)", writable=True)
        with driver_errors("connecting"):
            admin = self._connection.client.admin
            said = admin.command("hello")
            version = str(admin.command("buildInfo")["version"])
            # The two above are answered to anybody; this one only to a user who may be here.
            self._connection.database.command("listCollections", nameOnly=True, authorizedCollections=True)
        if said.get("msg") == "isdbgrid":
            return ServerFacts(version, "sharded cluster", writable=True)
        kind = f"replica set {said['setName']}" if "setName" in said else "standalone"
        return ServerFacts(version, kind, writable=bool(said.get("isWritablePrimary")))

    def acknowledged_write(self, seconds: float) -> str:
        """Write one document under the configured write concern; says which. Raises Overdue where nobody confirms it."""
        if self._connection.in_memory:
            return "nothing but memory"
        wanted = dict(self._connection.database.write_concern.document)
        described = (
            ", ".join(f"{name}: {str(value).lower()}" for name, value in wanted.items()) or "the server's default"
        )
        if wanted.get("w") != 0:
            wanted["wtimeout"] = max(1, int(seconds * 1000))
        with self._scratch() as scratch, driver_errors(f"writing with {described}"):
            scratch.with_options(write_concern=WriteConcern(**wanted)).insert_one({"written": "by chatstore verify"})
        return described

    def round_trip(self) -> None:
        """Write a document, read it back, delete it. Raises ChatstoreError where what came back is another."""
        written: Document = {
            "_id": secrets.token_hex(12),
            "text": "Grüße, 你好, \U0001f44b, a\u0000b, $set, a.b",
            "at": datetime(2026, 3, 2, 11, 41, 0, 195000, tzinfo=UTC),
            "nested": {"list": [1, 2.5, None, True, 2**53]},
        }
        with self._scratch() as scratch, driver_errors(f"writing to {scratch.name}"):
            scratch.insert_one(dict(written))
            came_back = scratch.find_one({"_id": written["_id"]})
            if came_back != written:
                raise ChatstoreError(what=f"What was read from {scratch.name} is not what was written there.")
            if scratch.delete_one({"_id": written["_id"]}).deleted_count != 1 or scratch.find_one({}) is not None:
                raise ChatstoreError(what=f"What was deleted from {scratch.name} is still there.")

    @contextmanager
    def _scratch(self) -> Iterator[Collection[Document]]:
        """A collection of our own, dropped however it ends."""
        scratch = self._connection.collection(SCRATCH_PREFIX + secrets.token_hex(6))
        # Not under the configured write concern: where that is what fails, the drop must not wait for it as well.
        dropping = scratch if self._connection.in_memory else scratch.with_options(write_concern=WriteConcern(w=1))
        try:
            yield scratch
        except BaseException:
            with suppress(driver.PyMongoError):
                dropping.drop()
            raise
        with driver_errors(f"dropping the scratch collection {scratch.name}"):
            dropping.drop()


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
