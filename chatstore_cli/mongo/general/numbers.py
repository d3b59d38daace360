"""The numbers of general chats: for each tenant and user from 1 upwards, and no number twice.

A pair of tenant and user has a counter. Old data can have several counters for one pair, in both variants (`app_id` and
`enterprise_id`), because the unique index was missing. Every writer raises the leading counter, the one with the highest
number, by its `_id`. A restore can bring back chats without their counter, so the highest number among the pair's chats is
considered too.

A process that is killed after it raised the counter leaves a gap, which is harmless.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import pymongo.errors as driver
from pymongo import ReturnDocument

from chatstore_cli.config.settings import GeneralCollections, Settings
from chatstore_cli.core.general.ids import counter_id
from chatstore_cli.core.retry import attempt_until_done
from chatstore_cli.domain.errors import Conflict
from chatstore_cli.domain.times import Clock, utc_now
from chatstore_cli.mongo.bson_values import whole_number
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.exact import reject_equal_id
from chatstore_cli.mongo.foreign_documents import require_writable
from chatstore_cli.mongo.general.counters import (
    CHAT_NUMBER,
    MAX_NUMBER,
    SEQUENCE,
    Counter,
    leading,
    number_of,
    of_pair,
    variants_of_pair,
)
from chatstore_cli.mongo.general.own_chats import OWN_COUNTERS
from chatstore_cli.mongo.identifiers import id_text


class ChatNumbers:
    """The ChatNumberSource of one database. Usually a number costs two commands: one read, and one `$inc`."""

    def __init__(self, connection: Connection, settings: Settings, clock: Clock = utc_now) -> None:
        """`clock` is for `created_at` of new counters."""
        self._connection = connection = connection.reading_from_primary()
        names = settings.layouts.general
        self._counters = connection.collection(names.counters)
        self._sessions = connection.collection(names.sessions or str(GeneralCollections.sessions))
        self._clock = clock

    def next_number(self, tenant: str, user: str) -> int:
        """A number that no call has returned before for this tenant and user, and no chat of theirs has.

        Raises Conflict if a stored number is so high that no other one follows.
        """

        def attempt() -> int | None:
            counter, chat = self._read(tenant, user)
            highest = max(0 if counter is None else counter.number, 0 if chat is None else number_of(chat[CHAT_NUMBER]))
            if highest >= MAX_NUMBER:
                raise self._no_number_follows(counter, chat)
            if counter is None:
                return self._insert(tenant, user, highest + 1)
            if counter.is_whole and counter.number == highest:
                return self._increment(counter)
            return self._set(counter, highest + 1)

        return self._until_done(tenant, user, attempt)

    def raise_to(self, tenant: str, user: str, number: int) -> None:
        """Return only numbers above this one from now on. Called before a chat is deleted, so that its number stays used."""
        if number >= MAX_NUMBER:
            return  # no chat gets such a number

        def attempt() -> int | None:
            counter, _ = self._read(tenant, user)
            if counter is None:
                return self._insert(tenant, user, number)
            if counter.is_whole and counter.number >= number:
                return counter.number
            return self._set(counter, max(number, counter.number))

        self._until_done(tenant, user, attempt)

    def _until_done(self, tenant: str, user: str, attempt: Callable[[], int | None]) -> int:
        name = self._counters.name
        require_writable(self._connection, name, OWN_COUNTERS)

        def failure() -> Conflict:
            what = f"{name}: the counter of tenant {tenant!r} and user {user!r} changed at each attempt."
            return Conflict(what=what, hint="Try again.")

        with driver_errors(f"numbering the general chats of user {user!r} in {name}"):
            return attempt_until_done(attempt, failure)

    def _read(self, tenant: str, user: str) -> tuple[Counter | None, Document | None]:
        """The leading counter of the pair, and its chat with the highest number."""
        pair = of_pair(tenant, user)
        # One query for each variant: with an `$or` of both, the server reads all chats of the user to sort them.
        numbered = [
            {**variant, CHAT_NUMBER: {"$gte": 0, "$not": {"$type": "array"}}}
            for variant in variants_of_pair(tenant, user)
        ]
        if self._connection.in_memory:
            found = [self._sessions.find(each, {CHAT_NUMBER: 1}).sort(CHAT_NUMBER, -1).limit(1) for each in numbered]
            rows = [*self._counters.find(pair, {SEQUENCE: 1}), *chain.from_iterable(found)]
        else:
            rows = list(
                self._counters.aggregate([{"$match": pair}, {"$project": {SEQUENCE: 1}}, *map(self._highest, numbered)])
            )
        counter = leading(Counter.of(row) for row in rows if CHAT_NUMBER not in row)
        chats = [row for row in rows if CHAT_NUMBER in row]
        return counter, max(chats, key=lambda row: number_of(row[CHAT_NUMBER]), default=None)

    def _highest(self, numbered: Document) -> Document:
        """A stage that adds the chat with the highest number."""
        highest: list[Document] = [
            {"$match": numbered},
            {"$sort": {CHAT_NUMBER: -1}},
            {"$limit": 1},
            {"$project": {CHAT_NUMBER: 1}},
        ]
        return {"$unionWith": {"coll": self._sessions.name, "pipeline": highest}}

    def _no_number_follows(self, counter: Counter | None, chat: Document | None) -> Conflict:
        name, document_id, field = self._counters.name, None if counter is None else counter.document_id, SEQUENCE
        if chat is not None and number_of(chat[CHAT_NUMBER]) >= MAX_NUMBER:
            name, document_id, field = self._sessions.name, chat["_id"], CHAT_NUMBER
        return Conflict(
            what=f"Document {id_text(document_id)!r} of {name}: no number of a chat follows its `{field}`, which is "
            f"{MAX_NUMBER:,} or more. Nothing was written.",
            hint=f"Correct `{field}` in that document, then try again.",
        )

    def _insert(self, tenant: str, user: str, number: int) -> int | None:
        """Store the first counter of a pair; None if another process has done so."""
        document: Document = {
            "_id": counter_id(tenant, user),
            "app_id": tenant,
            "user_id": user,
            SEQUENCE: number,
            "created_at": self._clock(),
        }
        try:
            self._counters.insert_one(document)
        except driver.DuplicateKeyError:
            self._reject_other_document(tenant, user)
            return None
        return number

    def _reject_other_document(self, tenant: str, user: str) -> None:
        """Raise Conflict if the `_id` of the pair's new counter is that of a document which is not a counter of the pair."""
        new_id = counter_id(tenant, user)
        reject_equal_id(self._counters, "_id", new_id)
        if self._counters.find_one({"_id": new_id, "$nor": [of_pair(tenant, user)]}, {"_id": 1}) is not None:
            raise Conflict(
                what=f"Document {new_id!r} of {self._counters.name} is not a counter of tenant {tenant!r} and user {user!r}.",
                hint="Its `_id` belongs to that counter. Correct `app_id` and `user_id` in it, then try again.",
            )

    def _increment(self, counter: Counter) -> int | None:
        """The next number; None if the counter was deleted or lowered meanwhile."""
        not_lower = {"_id": counter.document_id, SEQUENCE: {"$gte": counter.number, "$lt": MAX_NUMBER}}
        after = self._counters.find_one_and_update(
            not_lower, {"$inc": {SEQUENCE: 1}}, {SEQUENCE: 1}, return_document=ReturnDocument.AFTER
        )
        return None if after is None else whole_number(after[SEQUENCE])

    def _set(self, counter: Counter, number: int) -> int | None:
        """Set a counter that is too low or is not a whole number; None if it changed meanwhile."""
        update = self._counters.update_one(counter.unchanged, {"$set": {SEQUENCE: number}})
        return number if update.matched_count else None
