"""Heads: the state of a session's document that is read before it is changed, and the filter of the next change.

Pure: nothing here reads the database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chatstore_cli.domain.errors import Conflict
from chatstore_cli.mongo.bson_values import whole_number
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.session_documents.documents import session_id_of
from chatstore_cli.mongo.session_documents.shape import DocumentShape

MISSING = {"$exists": False}
_PLACE = ("last_sequence", "last_segment", "moved_messages", "last_move")
_SIZE = {"$cond": [{"$isArray": "$messages"}, {"$size": "$messages"}, None]}
_SEQUENCES = {"$cond": [{"$isArray": "$messages"}, "$messages.sequence", []]}
_HIGHEST = {"$max": {"$filter": {"input": _SEQUENCES, "cond": {"$isNumber": "$$this"}}}}
_IS_NUMBERED = {"$in": [{"$type": "$last_sequence"}, ["int", "long"]]}
_MAX_SEQUENCE = 2**53


def writing_facts(shape: DocumentShape, more: Sequence[str] = ()) -> Document:
    """The projection that is read from a document before it is changed; `more` are further fields."""
    return {
        **dict.fromkeys((*shape.fact_fields, *_PLACE, *more), 1),
        "messages_type": {"$type": "$messages"},
        # Only a document without `last_sequence` is searched for its highest sequence.
        "message_count": {"$cond": [_IS_NUMBERED, None, _SIZE]},
        "highest": {"$cond": [_IS_NUMBERED, None, _HIGHEST]},
    }


def facts_of(document: Document) -> Document:
    """The facts of a whole document, as the server computes them."""
    messages = document.get("messages")
    kind = "missing" if "messages" not in document else "null" if messages is None else "array"
    if messages is not None and not isinstance(messages, list):
        kind = type(messages).__name__
    facts = {**document, "messages_type": kind, "message_count": None, "highest": None}
    if isinstance(messages, list) and whole_number(document.get("last_sequence")) is None:
        numbers = [whole_number(each.get("sequence")) for each in messages if isinstance(each, dict)]
        facts["message_count"] = len(messages)
        facts["highest"] = max([number for number in numbers if number is not None], default=None)
    return facts


def unchanged(facts: Mapping[str, Any], fields: Sequence[str]) -> Document:
    """A filter that requires these fields to be as they were read."""
    return {field: {"$eq": facts[field]} if field in facts else MISSING for field in fields}


@dataclass(frozen=True, slots=True)
class Head:
    """A session's document as it was read. Only a document that is still the same matches `match`.

    `messages_type` is the BSON type of its `messages`. `last_segment` is 0 for a head without segments.
    """

    session_id: str
    match: Document
    messages_type: str
    last_sequence: int
    last_segment: int

    @property
    def document_id(self) -> Any:
        """The `_id`."""
        return self.match["_id"]

    def next_sequence(self) -> int:
        """The sequence of the next message. Raises Conflict if none can be appended."""
        if self.messages_type not in {"array", "missing", "null"}:
            what = f"Session {self.session_id!r}: its field `messages` is of type {self.messages_type}, not an array."
            raise Conflict(what=what, hint="Nothing was written. Repair the document, then try again.")
        if self.last_sequence >= _MAX_SEQUENCE:
            raise Conflict(
                what=f"Session {self.session_id!r}: no number follows its last sequence, {self.last_sequence:,}.",
                hint="Nothing was written. Repair `sequence` and `last_sequence` in the document, then try again.",
            )
        return self.last_sequence + 1

    def after(self, sequence: int, changed: Mapping[str, Any] = {}) -> Head:
        """The head after a message with that sequence was appended; `changed` are other parts of the filter."""
        match = {**self.match, "last_sequence": {"$eq": sequence}, **changed}
        match.pop("messages", None)
        return Head(self.session_id, match, "array", sequence, self.last_segment)


def head_of(facts: Document, highest_elsewhere: int, fields: Sequence[str] = ()) -> Head:
    """The head of a document, from its facts and the highest sequence in segments of other writers.

    `fields` must be unchanged too at the next change.
    """
    last_sequence = whole_number(facts.get("last_sequence"))
    match: Document = {"_id": facts["_id"], **unchanged(facts, (*_PLACE, *fields))}
    if facts["messages_type"] == "null":
        match["messages"] = {"$type": "null"}
    if last_sequence is None:
        size = facts.get("message_count")
        if size is not None:
            match["messages"] = {"$size": size}
        last_sequence = max(size or 0, whole_number(facts.get("highest")) or 0, highest_elsewhere)
    return Head(
        session_id_of(facts),
        match,
        facts["messages_type"],
        max(0, last_sequence),
        whole_number(facts.get("last_segment")) or 0,
    )
