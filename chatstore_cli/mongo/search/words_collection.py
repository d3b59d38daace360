"""The collection with the words of sessions, by which a search knows the sessions that it need not read.

A document has the filter (core/search/word_filter.py) of the words of one session's document, or of one segment: `{_id:
{layout, session_id[, segment]}, layout, document_ids, read_at, size, filter, ...}` (docs/layouts.md). Each is written as a
whole, and only over one that was read earlier, so processes that index at once, and killed ones, leave nothing wrong. One
document for each layout, `{_id: {layout}, complete_until, collection}`, is written last: the words of all sessions that were
last updated before this time are there.

The server compares the filters of all sessions. For 100,000 sessions that takes a tenth of a second. An index of the words
themselves would be faster, but larger than the sessions, and writing it would take longer than a hundred searches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pymongo import DeleteOne, ReplaceOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from chatstore_cli.core.search.word_filter import SIZES, bits_of, word_filter
from chatstore_cli.domain.foreign import OwnKind
from chatstore_cli.domain.times import as_utc
from chatstore_cli.mongo.collections import collection_facts, require_exact_ids
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.error_codes import DUPLICATE_KEY
from chatstore_cli.mongo.own_documents import HasType, OwnDocuments, all_of, has_any
from chatstore_cli.mongo.search.batches import MILLISECONDS

OWN_WORDS = OwnDocuments(
    OwnKind("a document of words", "documents of words", "search index"),
    all_of(HasType("_id", "object", (dict,)), has_any("filter", "complete_until")),
)
MOST_SESSIONS = 20_000
"""If more sessions have the words, walking the list finds the newest hits sooner."""
_AT_ONCE = 1_000


class SessionWords(NamedTuple):
    """The words of one session's document, or of the segment of that number, with what tells whether they are up to date.

    `read_at` is the server's time before the document was read, `version` that of a segment.
    """

    session_id: str
    document_ids: Sequence[Any]
    read_at: datetime
    words: set[str] = set()  # noqa: RUF012 - the default of a tuple's field, which is never changed
    updated_at: datetime | None = None
    segment: int | None = None
    version: Any = None


def documents_of(row: Mapping[str, Any]) -> list[Any]:
    """The `_id`s of the session's documents."""
    ids = row.get("document_ids")
    return ids if isinstance(ids, list) else []


class WordsCollection:
    """The words of one layout's sessions."""

    def __init__(self, connection: Connection, collection: str, layout: str, sessions: str) -> None:
        """`sessions` is the collection of the layout's sessions."""
        self.name = collection
        self._connection = connection
        self._layout = layout
        self._sessions = sessions

    @property
    def exists(self) -> bool:
        """Whether anybody has indexed words in this database."""
        facts = collection_facts(self._connection, self.name)
        return facts.exists and not self._connection.in_memory

    def require_writable(self) -> None:
        """Raise UnsuitableCollection if the documents could not be stored there."""
        require_exact_ids(self._connection, self.name)

    def complete_until(self) -> datetime | None:
        """The words of all sessions that were last updated before this time are there; None if nothing is known."""
        with driver_errors(f"reading {self.name}"):
            row = self._words.find_one({"_id": {"layout": self._layout}}) or {}
        is_of_these = row.get("collection") == self._identity()  # else it was dropped, and perhaps restored
        until = row.get("complete_until")
        return as_utc(until) if is_of_these and isinstance(until, datetime) else None

    def set_complete(self, until: datetime) -> None:
        """Note that the words are complete up to a time. It never goes back while the collection is the same one."""
        identity, key = self._identity(), {"layout": self._layout}
        new = {"layout": self._layout, "collection": identity, "complete_until": until}
        with driver_errors(f"writing {self.name}"):
            same = self._words.update_one({"_id": key, "collection": identity}, {"$max": {"complete_until": until}})
            if not same.matched_count:
                self._words.replace_one({"_id": key}, new, upsert=True)

    def with_all(self, words: Sequence[str]) -> list[Any] | None:
        """The `_id`s of the sessions that have all the words in their document or in a segment; None if they are many."""
        sizes: list[Document] = [
            {"size": size, "filter": {"$bitsAllSet": sorted({bit for word in words for bit in bits_of(word, size)})}}
            for size in SIZES
        ]
        documents: dict[str, Any] = {}
        with driver_errors(f"looking up words in {self.name}"):
            rows = self._words.find({"layout": self._layout, "$or": sizes}, {"_id": 0, "document_ids": 1})
            for row in rows.limit(MOST_SESSIONS + 1).max_time_ms(MILLISECONDS):
                documents |= {repr(each): each for each in documents_of(row)}
        return None if len(documents) > MOST_SESSIONS else list(documents.values())

    def stored(self, keys: Iterable[tuple[str, int | None]]) -> dict[tuple[str, int | None], Mapping[str, Any]]:
        """What tells whether the words of these sessions and segments are up to date, without the words."""
        ids = [self._id(session_id, segment) for session_id, segment in keys]
        if not ids:
            return {}
        with driver_errors(f"reading {self.name}"):
            rows = list(self._words.find({"_id": {"$in": ids}}, {"filter": 0}))
        return {(row["_id"]["session_id"], row["_id"].get("segment")): row for row in rows}

    def write(self, found: Sequence[SessionWords]) -> None:
        """Store words, except over those that were read later."""
        if not found:
            return
        writes = [
            ReplaceOne(
                {"_id": self._id(each.session_id, each.segment), "read_at": {"$lte": each.read_at}},
                self._document(each),
                upsert=True,
            )
            for each in found
        ]
        with driver_errors(f"writing the words of sessions to {self.name}"):
            try:
                self._words.bulk_write(writes, ordered=False)
            except BulkWriteError as error:
                codes = {each["code"] for each in error.details["writeErrors"]}
                if codes != {DUPLICATE_KEY} or error.details.get("writeConcernErrors"):
                    raise

    def all(self) -> Iterator[list[Mapping[str, Any]]]:
        """All documents of words without the words, some at a time."""
        batch: list[Mapping[str, Any]] = []
        with driver_errors(f"reading {self.name}"):
            condition = {"layout": self._layout, "document_ids": {"$exists": True}}
            for row in self._words.find(condition, {"document_ids": 1, "read_at": 1}).batch_size(_AT_ONCE):
                batch.append(row)
                if len(batch) == _AT_ONCE:
                    yield batch
                    batch = []
        yield batch

    def remove(self, rows: Sequence[Mapping[str, Any]]) -> int:
        """Delete documents that were not written since they were read. Returns how many were deleted."""
        if not rows:
            return 0
        deletes = [DeleteOne({"_id": row["_id"], "read_at": row.get("read_at")}) for row in rows]
        with driver_errors(f"deleting words from {self.name}"):
            return self._words.bulk_write(deletes, ordered=False).deleted_count

    def of_session(self, session_id: str) -> Document:
        """The condition for the words of a session and of its segments."""
        first = self._id(session_id, None)
        return {"_id": {"$gte": first, "$lt": self._id(f"{session_id}\0", None)}}

    @property
    def _words(self) -> Collection[Document]:
        # The driver's own collection, because `_id` is compared here; require_exact_ids is called before a write.
        return self._connection.reading_from_primary().database[self.name]

    def _identity(self) -> str:
        facts = collection_facts(self._connection, self._sessions)
        return f"{self._sessions} {facts.uuid}"

    def _id(self, session_id: str, segment: int | None) -> Document:
        key: Document = {"layout": self._layout, "session_id": session_id}
        return key if segment is None else {**key, "segment": segment}

    def _document(self, found: SessionWords) -> Document:
        size, content = word_filter(found.words)
        document = {"layout": self._layout, "document_ids": list(found.document_ids), "read_at": found.read_at}
        of_kind = {"updated_at": found.updated_at} if found.segment is None else {"version": found.version}
        return {
            "_id": self._id(found.session_id, found.segment),
            **document,
            **of_kind,
            "size": size,
            "filter": content,
        }
