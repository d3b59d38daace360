"""Reads the words of sessions that are one document each, and keeps them in the collection of words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import bson
from pymongo.collection import Collection

from chatstore_cli.core.search.index_words import message_words
from chatstore_cli.core.search.session_walk import Page, SessionWalk
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.search.models import SearchQuery, WordsStep
from chatstore_cli.domain.times import Clock, as_utc
from chatstore_cli.mongo.bson_arrays import AT_ONCE, RAW, array_in, decoded, element_ends, value_in
from chatstore_cli.mongo.connection import Document, driver_errors
from chatstore_cli.mongo.exact import own_collation
from chatstore_cli.mongo.search.words_collection import SessionWords, WordsCollection, documents_of
from chatstore_cli.mongo.session_documents.collection import SessionCollection
from chatstore_cli.mongo.session_documents.documents import to_message
from chatstore_cli.mongo.session_documents.listing import LocatedSession
from chatstore_cli.mongo.session_documents.segment_reader import MOVE

CLOCKS_DIFFER_BY = timedelta(hours=1)
"""How much the clocks of applications may be behind the server's. What was updated in that time is searched without words."""
_SESSIONS_AT_ONCE = 100


class DocumentWords:
    """The words of one layout's sessions.

    A session's document is read before its segments are listed, so a message that moves into a segment meanwhile is in one
    of both.
    """

    def __init__(
        self, collection: SessionCollection, located: Page[LocatedSession], words: WordsCollection, server_now: Clock
    ) -> None:
        self.layout = collection.shape.layout
        self._sessions, self._segments = collection.sessions, collection.segments
        self._reader = collection.reader
        self._located = located
        self._words = words
        self._server_now = server_now

    def update(self, *, everything: bool) -> Iterator[WordsStep]:
        """Read the sessions that changed since the last update, or all. A step for every some sessions.

        If it is interrupted, the next update does not read again what was read, unless it reads everything.
        """
        self._words.require_writable()
        began = self._server_now()
        until = None if everything else self._words.complete_until()
        walk = SessionWalk(self._located, lambda each: each.session, SearchQuery("", since=until))
        for page in walk.pages():
            # A session without a time is always searched without words.
            sessions = iter([each for each in page.items if each.session.updated_at is not None])
            while batch := list(islice(sessions, _SESSIONS_AT_ONCE)):
                changed = batch if everything else self._changed(batch)
                self._read(changed)
                yield WordsStep(sessions=len(batch), read=len(changed))
        for rows in self._words.all():
            yield WordsStep(removed=self._words.remove(self._orphans(rows)))
        self._words.set_complete(began - CLOCKS_DIFFER_BY)

    def _changed(self, batch: Sequence[LocatedSession]) -> list[LocatedSession]:
        """Those whose words may not be up to date."""
        stored = self._words.stored((each.session.session_id, None) for each in batch)

        def is_current(session: LocatedSession) -> bool:
            row = stored.get((session.session.session_id, None), {})
            updated_at, was, read_at = session.session.updated_at, row.get("updated_at"), row.get("read_at")
            if updated_at is None or not isinstance(was, datetime) or not isinstance(read_at, datetime):
                return False
            is_same = abs(as_utc(was) - updated_at) < timedelta(milliseconds=1)
            return is_same and as_utc(read_at) > updated_at + CLOCKS_DIFFER_BY

        return [each for each in batch if not is_current(each)]

    def _read(self, sessions: Sequence[LocatedSession]) -> None:
        if not sessions:
            return
        read_at = self._server_now()
        by_document = {_key(document_id): each for each in sessions for document_id in each.document_ids}
        ids = [document_id for each in sessions for document_id in each.document_ids]
        words: dict[str, set[str]] = {each.session.session_id: set() for each in sessions}
        for document_id, messages in self._messages(self._sessions, ids):
            if (located := by_document.get(_key(document_id))) is not None:
                found = words[located.session.session_id]
                found.update(message_words(messages(located.session.session_id)))
        self._read_segments(sessions, read_at)
        self._words.write(
            [
                SessionWords(
                    each.session.session_id,
                    each.document_ids,
                    read_at,
                    words[each.session.session_id],
                    updated_at=each.session.updated_at,
                )
                for each in sessions
            ]
        )
        written = self._words.stored((each.session.session_id, None) for each in sessions)
        self._words.remove(self._orphans(list(written.values())))  # a session that was deleted meanwhile

    def _read_segments(self, sessions: Sequence[LocatedSession], read_at: datetime) -> None:
        """Store the words of the segments that are not stored yet."""
        heads = {each.session.session_id: each for each in sessions}
        with driver_errors(f"reading {self._segments.name}"):
            owners = self._reader.segment_ids(list(heads))
            marks = list(self._segments.find({"_id": {"$in": list(owners)}}, {MOVE: 1})) if owners else []
        keys = {row["_id"]: (owners[row["_id"]], int(row["_id"].rpartition(":")[2])) for row in marks}
        stored = self._words.stored(keys.values())
        versions = {row["_id"]: row.get(MOVE) for row in marks}
        new = [each for each, key in keys.items() if key not in stored or stored[key].get("version") != versions[each]]
        for segment_id, messages in self._messages(self._segments, new):
            session_id, number = keys[segment_id]
            ids = heads[session_id].document_ids
            found = message_words(messages(session_id))
            version = versions[segment_id]
            self._words.write([SessionWords(session_id, ids, read_at, found, segment=number, version=version)])

    def _messages(self, collection: Collection[Document], ids: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
        """The `_id` of each document, and a function from the session's id to its messages, a few decoded at a time."""
        if not ids:
            return
        raw = collection.with_options(codec_options=RAW)
        match: Document = {"_id": {"$in": list(ids)}}
        with driver_errors(f"reading {collection.name}"):
            stages: list[Document] = [{"$match": match}, {"$project": {"messages": 1}}]
            for document in raw.aggregate(stages, **own_collation(collection)):
                content = bytes(document.raw)
                yield value_in(content, "_id"), lambda session_id, content=content: _messages_in(session_id, content)

    def _orphans(self, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """The documents of words whose session does not exist any more."""
        ids = [each for row in rows for each in documents_of(row)]
        with driver_errors(f"reading {self._sessions.name}"):
            match: Document = {"_id": {"$in": ids}}
            existing = {
                repr(row["_id"]) for row in self._sessions.find(match, {"_id": 1}, **own_collation(self._sessions))
            }
        return [row for row in rows if existing.isdisjoint(map(repr, documents_of(row)))]


def _key(document_id: Any) -> bytes:
    """An `_id` as a key: a date has a zone or none, depending on how it was decoded."""
    return bson.encode({"_id": document_id})


def _messages_in(session_id: str, content: bytes) -> Iterator[Message]:
    start, end = array_in(content, "messages")
    ends = list(element_ends(content, start, end))
    for run_end in dict.fromkeys([*ends[AT_ONCE - 1 :: AT_ONCE], *ends[-1:]]):
        for element in decoded(content[start:run_end]):
            yield to_message(session_id, element)
        start = run_end
