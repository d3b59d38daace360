"""Inserts many messages in one command, and finds which of them the server stores, already has, or rejects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pymongo.errors as driver
from bson.errors import BSONError
from pymongo.collection import Collection

from chatstore_cli.domain.errors import ChatstoreError, NotAllowed, Unreachable
from chatstore_cli.domain.journal import Entry
from chatstore_cli.domain.message_store import Inserted
from chatstore_cli.mongo.connection import Document, driver_errors
from chatstore_cli.mongo.error_codes import DUPLICATE_KEY, RETRYABLE_CODES
from chatstore_cli.mongo.messages.documents import flaw_of_document

_NOT_ABOUT_A_DOCUMENT = {1, 8, 13, 18, 24, 26, 33, 46, 63, 70, 71, 72, 73, 96, 115, 117, 125, 136, 146, 150, 166}
_NOT_ABOUT_A_DOCUMENT |= {211, 279, 314, 8000, 11601, 13388, 14031}
"""Error codes of the server or of the collection (for example, it is a view), which no message causes."""


_BY_ID = {"_id": 1}


class MessageInserter:
    """Inserts messages into one collection, unordered: a rejected message does not affect another."""

    def __init__(self, messages: Collection[Document], *, in_memory: bool) -> None:
        self._messages = messages
        self._name = messages.name
        self._in_memory = in_memory

    def insert(self, entries: Sequence[Entry], documents: Sequence[Document]) -> Inserted:
        """Store the documents of the entries. Raises Unreachable if it is not known which of them were stored."""
        if len(entries) == 1 and (flaw := flaw_of_document(documents[0])):
            return Inserted(0, [], [(entries[0], flaw)])
        try:
            with driver_errors(f"storing messages in {self._name}"):
                answer = self._insert_command(documents)
        except (Unreachable, NotAllowed):
            raise
        except (ChatstoreError, RecursionError, UnicodeError, TypeError, ValueError) as error:
            if getattr(error.__cause__, "code", None) in _NOT_ABOUT_A_DOCUMENT:
                raise
            # One of them cannot be encoded, or the server rejects all because of one, or together they exceed the limit of
            # a command. Halving finds the rejected entry.
            if len(entries) == 1:
                return Inserted(0, [], [(entries[0], f"rejected: {error}"[:400])])
        else:
            return self._inserted(answer, entries)
        half = len(entries) // 2
        first = self.insert(entries[:half], documents[:half])
        second = self.insert(entries[half:], documents[half:])
        return Inserted(
            first.stored + second.stored, first.duplicates + second.duplicates, first.refused + second.refused
        )

    def _insert_command(self, documents: Sequence[Document]) -> Mapping[str, Any]:
        if self._in_memory:
            return self._insert_in_memory(documents)
        # The command costs half as much as insert_many. The caller retries in any case.
        return self._messages.database.command(
            {
                "insert": self._name,
                "documents": documents,
                "ordered": False,
                "writeConcern": self._messages.write_concern.document,
            }
        )

    def _insert_in_memory(self, documents: Sequence[Document]) -> Mapping[str, Any]:
        failures: list[dict[str, Any]] = []
        for index, document in enumerate(documents):
            try:
                self._messages.insert_one(dict(document))
            except driver.DuplicateKeyError:
                failures.append({"index": index, "code": DUPLICATE_KEY})
            except (driver.WriteError, BSONError, OverflowError, TypeError, ValueError) as error:
                failures.append({"index": index, "code": 0, "errmsg": str(error)})
        return {"n": len(documents) - len(failures), "writeErrors": failures}

    def _inserted(self, answer: Mapping[str, Any], sent: Sequence[Entry]) -> Inserted:
        duplicates: list[Entry] = []
        refused: list[tuple[Entry, str]] = []
        unconfirmed = answer.get("writeConcernError")
        for failure in answer.get("writeErrors", ()):
            entry = sent[failure["index"]]
            code = failure.get("code")
            if code == DUPLICATE_KEY and failure.get("keyPattern", _BY_ID) == _BY_ID:
                duplicates.append(entry)
            elif code in RETRYABLE_CODES:
                unconfirmed = failure
            elif code in _NOT_ABOUT_A_DOCUMENT:
                raise ChatstoreError(what=f"Storing messages in {self._name}: {failure.get('errmsg', '')}.")
            else:
                refused.append((entry, f"the server rejected it: {failure.get('errmsg', '')} (code {code})"[:400]))
        if unconfirmed:
            raise Unreachable(
                what=f"Storing messages in {self._name}: {unconfirmed.get('errmsg', 'not acknowledged')}."
            )
        return Inserted(int(answer.get("n", 0)), duplicates, refused)
