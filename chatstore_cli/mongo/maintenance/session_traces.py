"""The flat messages of single sessions: looked at, and deleted as if they had never been."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chatstore_cli.domain.checked_application import FoundMessage
from chatstore_cli.domain.times import read_instant
from chatstore_cli.mongo.connection import Connection, driver_errors

_MOST = 1_000
_FIELDS = {"role": 1, "text": 1, "created_at": 1, "message_id": 1}


class MongoSessionDocuments:
    """Sessions in one collection of flat messages. A look takes at most `seconds`, also where no index helps it."""

    def __init__(self, connection: Connection, collection: str, seconds: float) -> None:
        self._connection = connection
        self._name = collection
        self._milliseconds = max(1, int(seconds * 1000))

    @property
    def collection(self) -> str:
        """Their collection."""
        return self._name

    def read(self, session_id: str) -> list[FoundMessage]:
        """What is stored of a session, up to 1,000 messages."""
        with driver_errors(f"reading session {session_id!r} in {self._name}"):
            found = self._connection.collection(self._name).find({"session_id": session_id}, _FIELDS).limit(_MOST)
            if not self._connection.in_memory:
                found = found.max_time_ms(self._milliseconds)
            return [_message(row) for row in found]

    def remove(self, session_ids: Sequence[str]) -> int:
        """Delete what is stored of these sessions. No tombstone: nothing but the checks knows that they ever were."""
        with driver_errors(f"deleting the messages of {', '.join(session_ids)} in {self._name}"):
            wanted = {"session_id": {"$in": list(session_ids)}}
            return self._connection.collection(self._name).delete_many(wanted).deleted_count


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
