"""The flat messages of the sessions that `chatstore verify` creates: read, and deleted without a trace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chatstore_cli.domain.checked_application import FoundMessage
from chatstore_cli.domain.times import read_instant
from chatstore_cli.mongo.connection import Connection, driver_errors

_MAX_MESSAGES = 1_000
_FIELDS = {"role": 1, "text": 1, "created_at": 1, "message_id": 1}


class MongoSessionDocuments:
    """Sessions in one collection of flat messages. A read takes at most `seconds`, even without an index."""

    def __init__(self, connection: Connection, collection: str, seconds: float) -> None:
        self._connection = connection
        self._name = collection
        self._milliseconds = max(1, int(seconds * 1000))

    @property
    def collection(self) -> str:
        """The name of the collection."""
        return self._name

    def read(self, session_id: str) -> list[FoundMessage]:
        """The stored messages of a session, at most 1,000."""
        with driver_errors(f"reading session {session_id!r} in {self._name}"):
            rows = (
                self._connection.collection(self._name).find({"session_id": session_id}, _FIELDS).limit(_MAX_MESSAGES)
            )
            if not self._connection.in_memory:
                rows = rows.max_time_ms(self._milliseconds)
            return [_message(row) for row in rows]

    def remove(self, session_ids: Sequence[str]) -> int:
        """Delete the messages of these sessions. Writes no tombstone, because only the checks know these sessions."""
        with driver_errors(f"deleting the messages of {', '.join(session_ids)} in {self._name}"):
            condition = {"session_id": {"$in": list(session_ids)}}
            return self._connection.collection(self._name).delete_many(condition).deleted_count


def _message(row: dict[str, Any]) -> FoundMessage:
    message_id = row.get("message_id")
    return FoundMessage(
        role=_text(row.get("role")),
        text=_text(row.get("text")),
        created_at=read_instant(row.get("created_at")),
        message_id=message_id if isinstance(message_id, str) else None,
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
