"""The newest stored flat messages of a session, to be merged with recorded ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from chatstore_cli.domain.history import NewestInstants, StoredMessage
from chatstore_cli.domain.identity import is_ours, session_prefix
from chatstore_cli.domain.message_store import Content
from chatstore_cli.domain.times import to_milliseconds
from chatstore_cli.domain.tombstones import Tombstone
from chatstore_cli.mongo.connection import Connection, driver_errors
from chatstore_cli.mongo.exact import own_collation
from chatstore_cli.mongo.identifiers import is_storable
from chatstore_cli.mongo.messages.documents import content_of
from chatstore_cli.mongo.messages.ordering import EXTRA_ROWS, MessagesInOrder
from chatstore_cli.mongo.messages.rows import LAYOUT, to_message
from chatstore_cli.mongo.messages.stored_times import EARLIEST
from chatstore_cli.mongo.tombstones import tombstones_of

_MAX_OFFSET_DIFFERENCE = timedelta(hours=48)
"""How far apart two texts of the same instant can sort: an offset from UTC is below 24 hours in each direction."""

_CONTENT = {"role": 1, "text": 1, "created_at": 1}


class MongoHistory:
    """A StoredHistory of the flat messages of one collection, read newest first through the index on (session_id, created_at)."""

    def __init__(self, connection: Connection, collection: str) -> None:
        self._connection = connection
        self._messages = connection.collection(collection)
        self._name = collection

    def tombstone(self, session_id: str) -> Tombstone | None:
        return self.tombstones([session_id]).get(session_id)

    def tombstones(self, session_ids: Collection[str]) -> Mapping[str, Tombstone]:
        known = [session_id for session_id in session_ids if is_storable(session_id)]
        if not known:
            return {}
        doing = f"session {known[0]!r}" if len(known) == 1 else f"{len(known)} sessions"
        with driver_errors(f"looking up {doing}"):
            return tombstones_of(self._connection, LAYOUT, known)

    def newest_stored(self, session_id: str, limit: int, since: datetime | None) -> list[StoredMessage]:
        doing = f"reading session {session_id!r} in {self._name}"
        ordered = MessagesInOrder(self._messages, session_id, doing, batch=limit + EXTRA_ROWS)
        if ordered.is_empty:
            return []
        margin = timedelta() if ordered.is_exact else _MAX_OFFSET_DIFFERENCE
        prefix = session_prefix(session_id)
        newest = NewestInstants(limit)
        messages: list[StoredMessage] = []
        for row in ordered.newest_first({}):
            message = to_message(row)
            moment = message.created_at or EARLIEST
            ends = [end for end in (since, newest.oldest) if end is not None]
            if messages and ends and to_milliseconds(max(ends)) - moment > margin:
                break
            newest.add(moment)
            identity = row["_id"] if is_ours(row["_id"], prefix) else None
            messages.append(StoredMessage(message, identity, content_of(row)))
        messages.reverse()
        return messages

    def stored_contents(self, identities: Sequence[str]) -> dict[str, Content]:
        with driver_errors(f"looking up messages in {self._name}"):
            rows = self._messages.find({"_id": {"$in": list(identities)}}, _CONTENT, **own_collation(self._messages))
            return {row["_id"]: (row.get("role"), row.get("created_at"), row.get("text")) for row in rows}
