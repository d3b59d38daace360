"""One page of a session's messages, and the cursor for the next one, in memory for one page."""

from __future__ import annotations

import base64
import binascii
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import chain, islice, pairwise

from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.session_reader import ReaderBySequence, ReaderByTime, SessionReader
from chatstore_cli.domain.times import as_utc

LARGEST_PAGE = 1_000
_OF_ONE_SECOND = 5
"""Messages that are usually read beside those of a page, because they have the second of its place, or come after it."""

SMALLEST_SEQUENCE = -(1 << 63)
_WIDEST = 1 << 20
"""Sequences before a page that are searched for the page before it. Beyond that gaps are so wide that everything is read."""

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
    return value is None or (type(value) is int and SMALLEST_SEQUENCE <= value < 1 << 63)


def message_page(
    reader: SessionReader,
    session_id: str,
    place: MessagePlace,
    limit: int,
    fits: Callable[[Message], bool] = lambda _: True,
) -> tuple[list[Message], MessagePlace | None]:
    """At most `limit` messages after the place, and the place after them; None at the end. Raises NotFound.

    The page ends before the first message that does not fit. The first one must fit.
    """
    messages = _from_place(reader, session_id, place, limit)
    if messages is None:
        messages = _from_message(reader, session_id, place)
    if messages is None:
        selection = MessageSelection(after_sequence=place.after_sequence, first=place.skip + limit + 1)
        messages = islice(reader.messages(session_id, selection), place.skip, None)
    found: list[Message] = []
    page: list[Message] = []
    for message in messages:
        found.append(message)
        if len(found) > limit or not fits(message):
            break
        page.append(message)
    if len(found) == len(page):
        return page, None
    if isinstance(reader, ReaderBySequence):
        return page, _after_sequence(place, found)
    last = page[-1]
    return page, replace(
        place,
        skip=place.skip + len(page),
        created_at=last.created_at,
        sequence=last.sequence,
        message_id=last.message_id,
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
        first = max(SMALLEST_SEQUENCE, hit.sequence - before - 1)
        page, next_place = message_page(reader, session_id, MessagePlace(first), limit)
        if any(is_at(message, hit) for message in page):
            return page, next_place
    # A place that is not in the order of the messages: each of them is compared.
    index = next((i for i, each in enumerate(reader.messages(session_id, MessageSelection())) if is_at(each, hit)), 0)
    return message_page(reader, session_id, MessagePlace(skip=max(0, index - before)), limit)


def is_at(message: Message, hit: MessagePlace) -> bool:
    """Whether a place names this message."""
    if message.sequence != hit.sequence:
        return False
    if hit.message_id is not None:
        return hit.message_id in (message.message_id, _digest(message) if message.message_id is None else None)
    if hit.sequence is None:
        return (message.message_id, message.created_at) == (None, hit.created_at)
    return hit.created_at in (None, message.created_at)


def _digest(message: Message) -> str:
    """Names a message that has no id of its own by its content and time."""
    return (
        "sha256:"
        + sha256(repr((message.role, message.content, message.created_at)).encode(errors="replace")).hexdigest()[:32]
    )


def _from_hit(messages: Iterator[Message], hit: MessagePlace, before: int) -> Iterator[Message]:
    """The message and those after it, and some before it that the iterator has. Nothing if the message is absent."""
    earlier: deque[Message] = deque(maxlen=before)
    for message in messages:
        if hit.created_at is not None and (message.created_at or _LAST) - hit.created_at > timedelta(seconds=1):
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
    return None if messages is None else _beyond(messages, place, place.created_at, back=False)


def _from_message(reader: SessionReader, session_id: str, place: MessagePlace) -> Iterator[Message] | None:
    """The messages after the one that the place names, if the order is neither that of times nor that of sequences.

    So messages that were deleted before it do not shift the page. None if it was deleted itself: its position is known.
    """
    if isinstance(reader, ReaderBySequence) or (place.created_at is None and place.message_id is None):
        return None
    messages = iter(reader.messages(session_id, MessageSelection()))
    later: list[Message] | None = None
    for message in islice(messages, place.skip):
        if is_at(message, place):  # the last one: messages of an application may share an id
            later = []
        elif later is not None:
            later.append(message)
    return None if later is None else chain(later, messages)


def _beyond(messages: Iterator[Message], place: MessagePlace, moment: datetime, *, back: bool) -> Iterator[Message]:
    """The messages beyond that of the place; if it no longer exists, those whose time and sequence are not before it.

    `back`: the messages come newest first.
    """
    wanted = (moment, _ABSENT if place.sequence is None else place.sequence)
    of_its_instant: list[Message] = []

    def rest() -> Iterator[Message]:
        return (each for each in of_its_instant if (_key(each) <= wanted if back else _key(each) >= wanted))

    for message in messages:
        key = _key(message)
        if key[0] == moment:
            if key == wanted and message.message_id == place.message_id:
                yield from messages
                return
            of_its_instant.append(message)
        elif (key[0] < moment) is back:
            yield from rest()
            yield message
            yield from messages
            return
    yield from rest()


def _key(message: Message) -> tuple[datetime, int]:
    """The order of a message among those of its second. A message without a time comes after them all."""
    moment = message.created_at
    return (_LAST if moment is None else moment), _ABSENT if message.sequence is None else message.sequence


# --- the page before another one -------------------------------------------------------------------------------------


def start_of(page: Sequence[Message]) -> MessagePlace:
    """The place at which a page begins, for `page_before`. The page must have at least one message.

    The place names the first message with a sequence, or else the first one. `skip` is the number of messages of the page
    before that message.
    """
    index = next((index for index, message in enumerate(page) if message.sequence is not None), 0)
    named = page[index]
    return MessagePlace(None, index, named.created_at, named.sequence, named.message_id or _digest(named))


def page_before(
    reader: SessionReader, session_id: str, start: MessagePlace, limit: int
) -> tuple[list[Message], MessagePlace | None]:
    """At most `limit` messages that end where another page begins (see `start_of`), and the place after them.

    The result is empty if no message is before the page, or if the message that the start names was deleted.
    """
    if start.skip > LARGEST_PAGE:
        raise BadValue(name="--cursor", value=start.to_cursor(), expected="the start of a page")
    if isinstance(reader, ReaderByTime) and start.created_at is not None:
        newest_first = reader.messages_until(session_id, start.created_at, limit + start.skip + _OF_ONE_SECOND)
        if newest_first is not None:
            earlier = _beyond(newest_first, start, start.created_at, back=True)
            page = list(islice(earlier, start.skip, start.skip + limit))[::-1]
            return page, _at_message(MessagePlace(), page[-1]) if page else None
    if isinstance(reader, ReaderBySequence) and start.sequence is not None:
        width = limit + start.skip
        while width < _WIDEST:  # without gaps in the sequences, the first round has the whole page
            first = start.sequence - width
            place = MessagePlace(first - 1 if first > 0 else None)
            found = _until(reader, session_id, place, start, limit, first=width + limit)
            if found is None:
                break  # the message is gone, or comes after more without a sequence
            if len(found[0]) == limit or first <= 0:
                return found
            width *= 4
    return _until(reader, session_id, MessagePlace(), start, limit) or ([], None)


def _until(
    reader: SessionReader,
    session_id: str,
    place: MessagePlace,
    start: MessagePlace,
    limit: int,
    first: int | None = None,
) -> tuple[list[Message], MessagePlace | None] | None:
    """What `page_before` returns, read forwards from a place; None if no message after the place is the one of the start.

    With `first`, none of the first so many messages after the place.
    """
    kept: deque[Message] = deque(maxlen=limit + start.skip + 1)
    messages = reader.messages(session_id, MessageSelection(after_sequence=place.after_sequence, first=first))
    for position, message in enumerate(messages):
        kept.append(message)
        if not is_at(message, start):
            continue
        found = list(kept)[: max(0, len(kept) - start.skip)][-limit - 1 :]  # the page, and the first message after it
        page = found[:-1]
        if not page:
            return [], None
        if isinstance(reader, ReaderBySequence):
            return page, _after_sequence(replace(place, skip=position - start.skip - len(page)), found)
        return page, _at_message(replace(place, skip=position - start.skip), page[-1])
    return None


def _at_message(place: MessagePlace, last: Message) -> MessagePlace:
    return replace(place, created_at=last.created_at, sequence=last.sequence, message_id=last.message_id)
