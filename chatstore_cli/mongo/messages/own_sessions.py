"""Which sessions of a collection have messages of this layout, and not only documents of another product."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from pymongo.collection import Collection

from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.identifiers import REPLACED, addressable_id, document_id_condition, id_values
from chatstore_cli.mongo.messages.own_messages import OWN_MESSAGES

Time = TypeVar("Time")


class OwnSessions:
    """Examines the newest document of each session. Raises the driver's own errors."""

    def __init__(self, messages: Collection[Document], *, in_memory: bool, milliseconds: int) -> None:
        self._messages = messages
        self._in_memory = in_memory
        self._milliseconds = milliseconds
        self.unreadable: set[str] = set()
        """The ids, met so far, that are not valid UTF-8: their text finds no message."""

    def only(self, sessions: Iterable[tuple[str, Time]], chunk: int) -> Iterator[tuple[str, Time]]:
        """Those of the sessions that have an own message, in the same order, `chunk` of them looked up at a time."""
        remaining = iter(sessions)
        while some := list(islice(remaining, chunk)):
            own = self.among([session for session, _ in some])
            self.unreadable.update(session for session, _ in some if REPLACED in session and session not in own)
            yield from (each for each in some if each[0] in own)

    def among(self, sessions: Sequence[str]) -> set[str]:
        """Those of the sessions that have an own message: one index seek and one document for each of them."""
        own = set() if self._in_memory else self._with_own_newest(sessions)
        # Beside foreign documents with its id, a session may have own messages that are older.
        return own | {session for session in sessions if session not in own and self._has_own(session)}

    def _with_own_newest(self, sessions: Sequence[str]) -> set[str]:
        among = {"$in": [value for session in sessions for value in id_values(session)]}
        # In this order the server reads one document per session: the condition must come after the group.
        stages: list[Document] = [
            {"$match": {"session_id": among}},
            {"$sort": {"session_id": 1, "created_at": -1}},
            {"$group": {"_id": "$session_id", "newest": {"$first": "$$ROOT"}}},
            {"$match": OWN_MESSAGES.filter("newest.")},
            {"$project": {"_id": 1}},
        ]
        rows = self._messages.aggregate(stages, allowDiskUse=True, maxTimeMS=self._milliseconds)
        return {session for row in rows if (session := addressable_id(row["_id"])) is not None}

    def _has_own(self, session: str) -> bool:
        return self._any_own({"session_id": document_id_condition(session)})

    def has_value(self, stored_id: Any) -> bool:
        """Whether an own message has this stored id."""
        return self._any_own({"session_id": {"$eq": stored_id, "$exists": True}})

    def _any_own(self, match: Document) -> bool:
        if self._in_memory:
            return any(map(OWN_MESSAGES.matches, self._messages.find(match)))
        found = self._messages.find_one({**match, **OWN_MESSAGES.filter()}, {"_id": 1}, max_time_ms=self._milliseconds)
        return found is not None
