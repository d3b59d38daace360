"""One page of a session's messages, and the cursor for the next one, in memory for one page."""

from __future__ import annotations

import base64
import binascii
import json
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.session_reader import ReaderBySequence, ReaderByTime, SessionReader
from chatstore_cli.domain.times import as_utc

LARGEST_PAGE = 1_000
_OF_ONE_SECOND = 5
"""Messages that are usually read beside those of a page, because they have the second of its place, or come after it."""

_ABSENT = -1
_LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class MessagePlace:
    """The place after a message of a session.

    `skip` messages after `after_sequence` come before it, or `skip` messages of the session. In a session in the order of
    times, the message itself tells the place: its time, sequence and id. So messages that expire do not shift the pages.
    """

    after_sequence: int | None = None
    skip: int = 0
    created_at: datetime | None = None
    sequence: int | None = None
    message_id: str | None = None

    def to_cursor(self) -> str:
        """The place as an opaque text for URLs."""
        moment = None if self.created_at is None else self.created_at.isoformat()
        packed = json.dumps([self.after_sequence, self.skip, moment, self.sequence, self.message_id])
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
    return value is None or (type(value) is int and abs(value) < 1 << 63)


def message_page(
    reader: SessionReader, session_id: str, place: MessagePlace, limit: int
) -> tuple[list[Message], MessagePlace | None]:
    """At most `limit` messages after the place, and the place after them; None at the end. Raises NotFound."""
    by_time = _from_place(reader, session_id, place, limit)
    if by_time is not None:
        found = list(islice(by_time, limit + 1))
    else:
        selection = MessageSelection(after_sequence=place.after_sequence, first=place.skip + limit + 1)
        found = list(islice(reader.messages(session_id, selection), place.skip, place.skip + limit + 1))
    page = found[:limit]
    if len(found) <= limit:
        return page, None
    if isinstance(reader, ReaderBySequence):
        return page, _after_sequence(place, found)
    last = page[-1]
    return page, replace(
        place, skip=place.skip + limit, created_at=last.created_at, sequence=last.sequence, message_id=last.message_id
    )


def page_around(
    reader: SessionReader, session_id: str, hit: MessagePlace, before: int, limit: int
) -> tuple[list[Message], MessagePlace | None]:
    """The page with the message that a place names (`created_at`, `sequence`, `message_id`), after `before` others.

    The first page if the session no longer has the message.
    """
    if isinstance(reader, ReaderByTime) and hit.created_at is not None:
        messages = reader.messages_from(session_id, hit.created_at, limit + _OF_ONE_SECOND)
        found = [] if messages is None else list(islice(_from_hit(messages, hit, before), limit + 1))
        if found:
            last = found[:limit][-1]
            following = MessagePlace(None, 0, last.created_at, last.sequence, last.message_id)
            return found[:limit], following if len(found) > limit else None
    if isinstance(reader, ReaderBySequence) and hit.sequence is not None:
        page, next_place = message_page(reader, session_id, MessagePlace(hit.sequence - before - 1), limit)
        if any(is_at(message, hit) for message in page):
            return page, next_place
    # A place that is not in the order of the messages: each of them is compared.
    index = next((i for i, each in enumerate(reader.messages(session_id, MessageSelection())) if is_at(each, hit)), 0)
    return message_page(reader, session_id, MessagePlace(skip=max(0, index - before)), limit)


def is_at(message: Message, hit: MessagePlace) -> bool:
    """Whether a place names this message."""
    if hit.message_id is not None:
        return (message.message_id, message.sequence) == (hit.message_id, hit.sequence)
    return message.sequence == hit.sequence and hit.created_at in (None, message.created_at)


def _from_hit(messages: Iterator[Message], hit: MessagePlace, before: int) -> Iterator[Message]:
    """The message and those after it, and some before it that the iterator has. Nothing if the message is absent."""
    earlier: deque[Message] = deque(maxlen=before)
    for message in messages:
        if hit.created_at is not None and (message.created_at or _LAST) > hit.created_at + timedelta(seconds=1):
            return
        if is_at(message, hit):
            yield from (*earlier, message)
            yield from messages
            return
        earlier.append(message)


def _after_sequence(place: MessagePlace, found: Sequence[Message]) -> MessagePlace:
    """The place before the last one of the messages: after the last sequence that a higher one follows."""
    for distance, (later, earlier) in enumerate(pairwise(reversed(found))):
        if later.sequence is not None and earlier.sequence is not None and later.sequence > earlier.sequence:
            return MessagePlace(earlier.sequence, distance)
    return replace(place, skip=place.skip + len(found) - 1)


def _from_place(reader: SessionReader, session_id: str, place: MessagePlace, limit: int) -> Iterator[Message] | None:
    """The messages after the place, if the reader finds them by their time."""
    if place.created_at is None or not isinstance(reader, ReaderByTime):
        return None
    messages = reader.messages_from(session_id, place.created_at, limit + _OF_ONE_SECOND)
    return None if messages is None else _after_place(messages, place, place.created_at)


def _after_place(messages: Iterator[Message], place: MessagePlace, moment: datetime) -> Iterator[Message]:
    """The messages after that of the place, or, if it no longer exists, those that cannot be before it."""
    wanted = (moment, _ABSENT if place.sequence is None else place.sequence)
    of_its_instant: list[Message] = []
    for message in messages:
        instant = _key(message)[0]
        if instant > moment:
            yield from (each for each in of_its_instant if _key(each) >= wanted)
            yield message
            yield from messages
            return
        if instant == moment:
            if _key(message) == wanted and message.message_id == place.message_id:
                yield from messages
                return
            of_its_instant.append(message)
    yield from (each for each in of_its_instant if _key(each) >= wanted)


def _key(message: Message) -> tuple[datetime, int]:
    """The order of a message among those of its second. A message without a time comes after them all."""
    moment = message.created_at
    return (_LAST if moment is None else moment), _ABSENT if message.sequence is None else message.sequence
