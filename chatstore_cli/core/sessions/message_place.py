"""The place of a message in its session, as a cursor, and whether a place names a message."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from chatstore_cli.domain.errors import BadValue, Conflict
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.times import as_utc

SMALLEST_SEQUENCE = -(1 << 63)
_LONGEST_ID = 1_000
"""Characters of an id in a cursor. A longer one is replaced by its digest, because addresses have a limit."""


class PlaceGone(Conflict):
    """The message at which a page of session {session_id!r} began or ended was deleted, and its place is not known."""

    kind = "place_gone"

    def __init__(self, session_id: str) -> None:
        super().__init__(session_id=session_id, hint="Read the messages again from the first page.")


@dataclass(frozen=True, slots=True)
class MessagePlace:
    """The place after a message of a session, or the message itself.

    A message is named by its time, sequence and id, so that messages that expire do not shift the pages. The other two
    fields limit the search: the message is one of the first `skip` messages after `after_sequence`, or of the session.
    """

    after_sequence: int | None = None
    skip: int = 0
    created_at: datetime | None = None
    sequence: int | None = None
    message_id: str | None = None

    def to_cursor(self) -> str:
        """The place as an opaque text for URLs."""
        moment = None if self.created_at is None else self.created_at.isoformat()
        message_id = None if self.message_id is None else _short(self.message_id)
        packed = json.dumps([self.after_sequence, self.skip, moment, self.sequence, message_id])
        return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")

    @classmethod
    def from_cursor(cls, cursor: str) -> MessagePlace:
        """The place of a cursor. Raises BadValue."""
        try:
            packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            after, skip, moment, sequence, message_id = json.loads(packed)
            is_valid = _is_number(after) and type(skip) is int and 0 <= skip < 1 << 62 and _is_number(sequence)
            if not is_valid or not isinstance(message_id, str | None):
                raise ValueError
            return cls(
                after, skip, None if moment is None else as_utc(datetime.fromisoformat(moment)), sequence, message_id
            )
        except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise BadValue(name="--cursor", value=cursor, expected="the next_cursor of an earlier page") from error


def _is_number(value: object) -> bool:
    return value is None or (type(value) is int and SMALLEST_SEQUENCE <= value < 1 << 63)


def place_of(message: Message) -> MessagePlace:
    """The place that names a message. One without an id is named by its role, content and time."""
    name = digest_of([message]) if message.message_id is None else message.message_id
    return MessagePlace(created_at=message.created_at, sequence=message.sequence, message_id=name)


def is_at(message: Message, hit: MessagePlace) -> bool:
    """Whether a place names this message."""
    if message.sequence != hit.sequence:
        return False
    if hit.message_id is not None:
        if message.message_id is None:
            return hit.message_id == digest_of([message])
        return hit.message_id in (message.message_id, _short(message.message_id))
    if hit.sequence is None:
        return (message.message_id, message.created_at) == (None, hit.created_at)
    return hit.created_at in (None, message.created_at)


def digest_of(messages: Iterable[Message]) -> str:
    """The name of messages without ids, made of their roles, contents and times."""
    return joined(map(digest, messages))


def digest(message: Message) -> str:
    """A text that stands for the role, the content and the time of a message."""
    return _digest(repr((message.role, message.content, message.created_at)))


def joined(digests: Iterable[str]) -> str:
    """The name of several messages, made of their digests."""
    return _digest(" ".join(digests))


def _short(message_id: str) -> str:
    return message_id if len(message_id) <= _LONGEST_ID else _digest(message_id)


def _digest(text: str) -> str:
    return "sha256:" + sha256(text.encode(errors="replace")).hexdigest()[:32]
