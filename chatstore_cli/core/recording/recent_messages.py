"""The newest messages of a session in the memory of an application's cache."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import Any

from chatstore_cli.domain.identity import identity_by_message_id, session_prefix
from chatstore_cli.domain.message import Message, read_reply_to
from chatstore_cli.domain.tombstones import Tombstone


class RecentMessages:
    """The newest messages of one session, each with its size, the latest instant of the session, and its last deletion."""

    __slots__ = ("bytes", "latest", "messages", "tombstone")

    def __init__(self, capacity: int) -> None:
        self.messages: deque[tuple[Message, int]] = deque(maxlen=capacity)
        self.latest: datetime | None = None
        self.tombstone: Tombstone | None = None
        self.bytes = 0

    def add(self, message: Message, size: int) -> int:
        """Append a message; returns by how many bytes the memory grew."""
        grown = size - (self.drop_oldest() if len(self.messages) == self.messages.maxlen else 0)
        self.messages.append((message, size))
        self.bytes += size
        return grown

    def drop_oldest(self) -> int:
        """Remove the oldest message; returns its size."""
        size = self.messages.popleft()[1]
        self.bytes -= size
        return size

    def forget(self, tombstone: Tombstone) -> int:
        """Remove the messages that the tombstone covers; returns their size."""
        self.tombstone, before = tombstone, self.bytes
        kept = [(message, size) for message, size in self.messages if not _is_covered(message, tombstone)]
        self.messages = deque(kept, self.messages.maxlen)
        self.bytes = sum(size for _, size in kept)
        return before - self.bytes

    def forget_future(self, limit: datetime) -> None:
        """Lower the latest instant to that of the messages up to `limit`: a clock was ahead, or a caller gave a later time."""
        believed = (message.created_at for message, _ in self.messages)
        self.latest = max((moment for moment in believed if moment is not None and moment <= limit), default=None)

    def note(self, instant: datetime | None) -> None:
        """Raise the latest instant."""
        if instant is not None and (self.latest is None or instant > self.latest):
            self.latest = instant


def recorded_message(fields: dict[str, Any], number: int) -> Message:
    """The message of a journal line, which has this number in its journal."""
    return Message(
        fields["session_id"],
        fields["role"],
        fields["text"],
        fields.get("message_id"),
        number,
        created_at=datetime.fromisoformat(fields["created_at"]),
        metadata=fields["metadata"],
        reply_to=read_reply_to(fields),
    )


def _is_covered(message: Message, tombstone: Tombstone) -> bool:
    """Whether a message in memory was deleted. A message without an id, of another program's journal, has only its time."""
    session_id, message_id = message.session_id, message.message_id
    identity = "" if message_id is None else identity_by_message_id(session_prefix(session_id), session_id, message_id)
    return tombstone.covers(message.created_at, identity) or tombstone.covers_answer(session_id, message.reply_to)
