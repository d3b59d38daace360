"""Writes the documents of sessions. Each change is one guarded atomic update.

Never a pipeline update: it would evaluate what a message contains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import pymongo.errors as driver
from bson.raw_bson import RawBSONDocument

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.errors import ChatstoreError, Conflict, MissingRight, Unreachable
from chatstore_cli.domain.segments import DocumentFull
from chatstore_cli.mongo.bson_values import whole_number
from chatstore_cli.mongo.collections import collation_warning
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.error_codes import MISSING_RIGHT, RETRYABLE_CODES
from chatstore_cli.mongo.exact import exactly, own_collation, reject_equal_id, text_range
from chatstore_cli.mongo.foreign_documents import require_writable
from chatstore_cli.mongo.identifiers import id_values
from chatstore_cli.mongo.session_documents.collection import Located, SessionCollection
from chatstore_cli.mongo.session_documents.documents import session_id_of
from chatstore_cli.mongo.session_documents.encoding import plain_update
from chatstore_cli.mongo.session_documents.heads import Head, facts_of, head_of, writing_facts
from chatstore_cli.mongo.session_documents.shape import DocumentShape
from chatstore_cli.mongo.tombstones import TOMBSTONES, deleted_sessions

_TOO_LARGE = {10334, 17280, 17419, 17420}
_TYPE_MISMATCHES = {2, 14, 28}


class DocumentWriter:
    """Changes the documents of one layout's sessions, and looks for events in them and in their segments."""

    def __init__(
        self,
        shape: DocumentShape,
        connection: Connection,
        settings: Settings,
        warn: Callable[[str], None],
        *,
        facts: tuple[str, ...] = (),
        guarded: tuple[str, ...] = (),
    ) -> None:
        """`warn` is called once if the collection has a collation. `facts` are further fields that are read.

        `guarded` are fields besides the place of the newest message that must be unchanged when a message is appended.
        """
        self.connection = connection = connection.reading_from_primary()
        self.collection = collection = SessionCollection(shape, connection, settings)
        self.name = collection.name
        self._shape, self._sessions, self._segments = shape, collection.sessions, collection.segments
        self._facts, self._guarded = writing_facts(shape, facts), guarded
        self._warn = warn
        self._warned = False
        self._write_concern = self._sessions.write_concern.document

    # --- reading ------------------------------------------------------------------------------------------------------

    def facts(self, session_id: str) -> Document | None:
        """The facts of a session's document; None if there is no such session."""
        return self._computed(self.collection.locate(session_id, self._facts))

    def facts_shared(self, session_id: str) -> Located | None:
        """The facts of a session, and whether other documents have its id; None if it does not exist."""
        located = self.collection.locate_shared(session_id, self._facts)
        return None if located is None else located._replace(row=self._computed(located.row) or {})

    def facts_again(self, head: Head) -> Document | None:
        """The facts of the same document as it is now."""
        with driver_errors(f"looking up session {head.session_id!r} in {self.name}"):
            return self._computed(self.collection.first({"_id": {"$eq": head.document_id}}, self._facts))

    def _computed(self, row: Document | None) -> Document | None:
        return facts_of(row) if row is not None and self.connection.in_memory else row

    def head(self, facts: Document) -> Head:
        """The head, from the facts of its document."""
        is_numbered = whole_number(facts.get("last_sequence")) is not None
        elsewhere = 0 if is_numbered else self._highest_in_segments(session_id_of(facts))
        return head_of(facts, elsewhere, self._guarded)

    def _highest_in_segments(self, session_id: str) -> int:
        """The highest sequence in segments of another writer, whose document does not have it."""
        highest = 0
        own = own_collation(self._segments)
        of_session = {"_id": text_range(own, f"{session_id}:", f"{session_id};")}
        with driver_errors(f"looking up session {session_id!r} in {self._segments.name}"):
            for row in self._segments.find(of_session, {"messages.sequence": 1}, **own):
                if str(row["_id"]).rpartition(":")[0] != session_id:
                    continue  # a segment of a session named `<id>:...`
                stored = row.get("messages")
                elements = [each for each in stored if isinstance(each, dict)] if isinstance(stored, list) else []
                highest = max([highest, *(whole_number(each.get("sequence")) or 0 for each in elements)])
        return highest

    def is_deleted(self, session_id: str) -> bool:
        """Whether the session was deleted on purpose."""
        with driver_errors(f"looking up session {session_id!r} in {TOMBSTONES}"):
            return bool(deleted_sessions(self.connection, self._shape.layout, [session_id]))

    def is_in_segments(self, head: Head, event_id: str) -> bool:
        """Whether a message with that event id is in a segment that counts."""
        if not head.last_segment:
            return False
        with driver_errors(f"looking up an event of session {head.session_id!r} in {self._segments.name}"):
            match = self.in_segments(head, event_id)
            if self.connection.in_memory:
                return self._segments.find_one(match, {"_id": 1}) is not None
            # Each append to a long session does this, and the bare command costs less than find_one.
            match, option = exactly(self._segments, match)
            command = {"count": self._segments.name, "query": match, "limit": 1, **option}
            return int(self._command_twice(command)["n"]) > 0

    @staticmethod
    def in_segments(head: Head, event_id: str) -> Document:
        """The condition for the segment that counts and has a message with that event id."""
        is_event = {"chat_id": head.session_id, "messages.event_id": {"$in": id_values(event_id)}}
        return {**is_event, "segment": {"$not": {"$gt": head.last_segment}}}

    # --- writing ------------------------------------------------------------------------------------------------------

    def create(self, session_id: str, document: Document, field: str) -> bool:
        """Insert the document of a new session.

        False if there is a document with the same `field` or `_id`, or if the session was deleted on purpose between the
        caller's look-up and the insertion.
        """
        self._check_collection()
        with driver_errors(f"creating session {session_id!r} in {self.name}"):
            try:
                self._sessions.insert_one(document)
            except driver.DuplicateKeyError:
                reject_equal_id(self._sessions, field, session_id)
                return False
        if not self.is_deleted(session_id):
            return True
        # Nobody has written to this document yet.
        with driver_errors(f"deleting session {session_id!r} in {self.name}"):
            self._sessions.delete_one({"_id": document["_id"], "last_sequence": 0})
        return False

    def append(
        self,
        head: Head,
        message: RawBSONDocument,
        event_id: str,
        now: datetime,
        *,
        match: Mapping[str, Any] = {},
        update: Mapping[str, Any] = {},
    ) -> bool | DocumentFull:
        """Append a message with the head's next sequence, if the head is unchanged and has no message with its event id.

        `match` and `update` belong to the same command: further conditions, and what else changes. False if the document
        did not match. The caller has looked for the event in segments.
        """
        match = {**head.match, **match}
        fields = {"last_sequence": head.next_sequence(), self._shape.updated_field: now, **update.get("$set", {})}
        update = {**update, "$set": fields}
        if head.messages_type == "null":
            fields["messages"] = [message]
        else:
            match["messages.event_id"] = other_than(event_id)
            update["$push"] = {"messages": message}
        if "messages" in match and "$size" in match["messages"]:
            match = {"$and": [{"messages": match.pop("messages")}, match]}
        try:
            return self.update(match, update, f"storing a message of session {head.session_id!r}")
        except _DocumentTooLarge:
            return DocumentFull(len(message.raw))

    def update(self, match: Document, update: Document, doing: str) -> bool:
        """Update one document; returns whether a document matched."""
        doing = f"{doing} in {self.name}"
        self._check_collection()
        with driver_errors(doing):
            if self.connection.in_memory:
                return self._sessions.update_one(match, plain_update(update)).matched_count == 1
            # The bare command costs half as much as update_one. If its answer is lost, it is sent again: if the first
            # one took effect, the guard no longer matches, and the caller reads the document again.
            match, option = exactly(self._sessions, match)
            command = {
                "update": self.name,
                "updates": [{"q": match, "u": update, **option}],
                "writeConcern": self._write_concern,
            }
            answer = self._command_twice(command)
        _raise_failure(answer, doing)
        return int(answer.get("n", 0)) == 1

    def _check_collection(self) -> None:
        facts = require_writable(self.connection, self.name, self._shape.own_sessions)
        warning = collation_warning(facts)
        if warning is not None and not self._warned:
            self._warned = True
            self._warn(warning)

    def _command_twice(self, command: Document) -> Document:
        """The answer to a command, which is sent once more if the connection fails: the driver does not do that."""
        options = self._sessions.codec_options
        try:
            return self.connection.database.command(command, codec_options=options)
        except driver.ConnectionFailure:
            return self.connection.database.command(command, codec_options=options)


def other_than(event_id: str) -> Document:
    """The condition for the ids of other events. In an array, all of them must be."""
    ids = id_values(event_id)
    return {"$nin": ids} if len(ids) > 1 else {"$ne": ids[0]}


class _DocumentTooLarge(Exception):
    """The server rejected an update because the document would be over 16 MiB."""


def _raise_failure(answer: Mapping[str, Any], doing: str) -> None:
    for failure in answer.get("writeErrors", ()):
        code = failure.get("code")
        if code in _TOO_LARGE:
            raise _DocumentTooLarge
        if code in RETRYABLE_CODES:
            raise Unreachable(what=f"{doing}: {failure.get('errmsg', '')}", hint="Try again.")
        if code == MISSING_RIGHT:
            raise MissingRight(what=f"{doing}: {failure.get('errmsg', '')}", hint="Check user, password and roles.")
        if code in _TYPE_MISMATCHES:
            # A field that only chatstore writes, `echoes` or `run_ends`, is not an array.
            reason = str(failure.get("errmsg", ""))[:200]
            raise Conflict(what=f"{doing}: {reason}", hint="Nothing was written. Repair the document, then try again.")
        raise ChatstoreError(what=f"{doing}: {str(failure.get('errmsg', ''))[:300]} (code {code})")
    if concern_error := answer.get("writeConcernError"):
        raise Unreachable(what=f"{doing}: {concern_error.get('errmsg', 'not acknowledged')}.", hint="Try again.")
