"""Counts the messages of sessions in an index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pymongo.collection import Collection

from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.exact import exactly
from chatstore_cli.mongo.identifiers import addressable_id, id_condition, id_values

NO_COUNT_LIMIT = 2**31 - 2
"""The greatest limit that the server's count takes, less the one by which `of` counts on."""

_USUAL_MESSAGE_COUNT = 150


class MessageCounts:
    """Counts the messages of sessions of one collection. Raises the driver's own errors.

    `field` has the id of a message's session, and an index begins with it.
    """

    def __init__(
        self, messages: Collection[Document], field: str = "session_id", *, in_memory: bool, milliseconds: int
    ) -> None:
        self._messages = messages
        self._field = field
        self._in_memory = in_memory
        self._milliseconds = milliseconds
        self.counted: Document = {}
        """What a counted message must meet besides its session. Empty: counts are from the index alone."""

    def of(self, sessions: Sequence[str], cap: int, *, has_index: bool) -> Iterator[tuple[str, int]]:
        """The number of messages of each session, counted in the index on sessions up to `cap` + 1."""
        if not sessions:
            return
        among = {"$in": [value for session in sessions for value in id_values(session)]}
        # Most sessions are small: one scan of the index counts all of them, unless one is large.
        limit = _USUAL_MESSAGE_COUNT * len(sessions) if has_index else 0
        limited: list[Document] = [{"$limit": limit}] if limit else []
        stages: list[Document] = [
            {"$match": {self._field: among, **self.counted}},
            {"$project": {"_id": 0, self._field: 1}},
            *limited,
            {"$group": {"_id": f"${self._field}", "messages": {"$sum": 1}}},
        ]
        counts: dict[str, int] = {}
        for row in self._messages.aggregate(stages, allowDiskUse=True, maxTimeMS=self._milliseconds):
            session = addressable_id(row["_id"])
            if session is not None:
                counts[session] = counts.get(session, 0) + int(row["messages"])
        if limit and sum(counts.values()) >= limit:
            yield from ((session, self._count(session, cap + 1)) for session in sessions)
        else:
            yield from ((session, counts.get(session, 0)) for session in sessions)

    def _count(self, session: str, limit: int) -> int:
        condition = {self._field: id_condition(session), **self.counted}
        if self._in_memory:
            return self._messages.count_documents(condition, limit=limit)
        condition, option = exactly(self._messages, condition)
        # The count command counts index keys without reading them, at half the cost of count_documents.
        return int(
            self._messages.database.command(
                {"count": self._messages.name, "query": condition, "limit": limit, "maxTimeMS": self._milliseconds}
                | option,
                read_preference=self._messages.read_preference,
            )["n"]
        )
