"""One page of a session's messages, and the cursor for the next one, in memory for one page."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain, islice, pairwise, repeat
from typing import NamedTuple

from chatstore_cli.core.sessions.message_place import (
    SMALLEST_SEQUENCE,
    MessagePlace,
    PlaceGone,
    digest,
    digest_of,
    is_at,
    joined,
    place_of,
)
from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.session_reader import ReaderBySequence, ReaderByTime, SessionReader

LARGEST_PAGE = 1_000
_OF_ONE_SECOND = 5
"""Messages that are usually read beside those of a page, because they have the second of its place, or come after it."""

_WIDEST = 1 << 20
"""Sequences before a page that are searched for the page before it. Beyond that gaps are so wide that everything is read."""

_IN_A_NAME = 5
"""Messages whose contents name the start of a page, if the first one has neither an id nor a sequence: many contain only "ok"."""

_ABSENT = -1
_FIRST = datetime.min.replace(tzinfo=UTC)
_FIRST_KEY = (_FIRST, SMALLEST_SEQUENCE)
_LAST = datetime.max.replace(tzinfo=UTC)


def message_page(
    reader: SessionReader,
    session_id: str,
    place: MessagePlace,
    limit: int,
    fits: Callable[[Message], bool] = lambda _: True,
) -> tuple[list[Message], MessagePlace | None]:
    """At most `limit` messages after the place, and the place after them; None at the end. Raises NotFound and PlaceGone.

    The page ends before the first message that does not fit. The first one must fit.
    """
    messages = _from_place(reader, session_id, place, limit)
    if messages is None:
        selection = MessageSelection(after_sequence=place.after_sequence, first=place.skip + limit + 1)
        after = _after_place(iter(reader.messages(session_id, selection)), place)
        if after is None:
            raise PlaceGone(session_id)
        skip, messages = after
        place = replace(place, skip=skip)
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
    return page, replace(place_of(page[-1]), skip=place.skip + len(page))


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
            if distance == 0:
                return MessagePlace(earlier.sequence)
            return replace(place_of(found[-2]), after_sequence=earlier.sequence, skip=distance)
    return replace(place_of(found[-2]), after_sequence=place.after_sequence, skip=place.skip + len(found) - 1)


def _from_place(reader: SessionReader, session_id: str, place: MessagePlace, limit: int) -> Iterator[Message] | None:
    """The messages after the place, if the reader finds them by their time."""
    if place.created_at is None or not isinstance(reader, ReaderByTime):
        return None
    messages = reader.messages_from(session_id, place.created_at, limit + _OF_ONE_SECOND)
    return None if messages is None else _beyond(messages, place, place.created_at, back=False)


def _after_place(messages: Iterator[Message], place: MessagePlace) -> tuple[int, Iterator[Message]] | None:
    """How many messages are before a place, and those after it, also if messages before it were deleted.

    If the message that the place names was deleted, its time determines the place; None if that is not possible.
    """
    if place.created_at is None and place.message_id is None:
        return place.skip, islice(messages, place.skip, None)
    later: list[Message] | None = None
    after_its_time: list[Message] | None = []
    key, wanted = _FIRST_KEY, _time_key(place)
    count = 0
    for message in islice(messages, place.skip):
        count += 1
        if is_at(message, place):  # the last one: messages of an application may share an id
            later = []
        elif later is not None:
            later.append(message)
        elif after_its_time is not None:
            earlier, key = key, _time_key(message)
            if key == wanted or key < earlier:
                after_its_time = None
            elif key > wanted:
                after_its_time.append(message)
    later = after_its_time if later is None else later
    return None if later is None else (count - len(later), chain(later, messages))


def _time_key(message: Message | MessagePlace) -> tuple[datetime, int]:
    """The order of times, and of sequences at one time. A message without a time comes first."""
    return message.created_at or _FIRST, _ABSENT if message.sequence is None else message.sequence


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
            if is_at(message, place):
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


class _Before(NamedTuple):
    """The last messages before a place, the one after the place (None at the end), and how many were read before that."""

    page: list[Message]
    following: Message | None
    position: int


def start_of(page: Sequence[Message]) -> MessagePlace:
    """The place at which a page begins, for `page_before`. The page must have at least one message.

    It names the first message. `after_sequence` is the first sequence of the page. If the message has no id and no sequence,
    it is named with those after it, and `skip` is their number.
    """
    number = next((each.sequence for each in page if each.sequence is not None), None)
    start = replace(place_of(page[0]), after_sequence=number)
    if page[0].message_id is None and page[0].sequence is None:
        named = page[:_IN_A_NAME]
        return replace(start, message_id=digest_of(named), skip=len(named))
    return start


def page_before(
    reader: SessionReader, session_id: str, start: MessagePlace, limit: int
) -> tuple[list[Message], MessagePlace | None]:
    """At most `limit` messages that end where another page begins (see `start_of`), and the place after them.

    If the message at which it begins was deleted, its sequence or its time determines the page. Raises PlaceGone if neither does.
    """
    if start.skip > _IN_A_NAME:
        raise BadValue(name="--cursor", value=start.to_cursor(), expected="the start of a page")
    if isinstance(reader, ReaderByTime) and start.created_at is not None:
        newest_first = reader.messages_until(session_id, start.created_at, limit + _OF_ONE_SECOND)
        if newest_first is not None:
            page = list(islice(_beyond(newest_first, start, start.created_at, back=True), limit))[::-1]
            return page, place_of(page[-1]) if page else None
    number = start.after_sequence if start.sequence is None else start.sequence
    if isinstance(reader, ReaderBySequence) and number is not None:
        width = limit
        while width < _WIDEST:  # without gaps in the sequences, the first round has the whole page
            first = number - width
            place = MessagePlace(first - 1 if first > 0 else None)
            found = _until(reader, session_id, place, start, limit, first=width + limit)
            if found is None:
                break  # the message is gone, or comes after more without a sequence
            if len(found.page) == limit or first <= 0:
                return _page_of(reader, place, found)
            width *= 4
    found = _until(reader, session_id, MessagePlace(), start, limit) or _by_time(reader, session_id, start, limit)
    if found is None:
        raise PlaceGone(session_id)
    return _page_of(reader, MessagePlace(), found)


def _page_of(reader: SessionReader, place: MessagePlace, found: _Before) -> tuple[list[Message], MessagePlace | None]:
    """What `page_before` returns of messages that were read from a place."""
    page, following, position = found
    if not page or following is None:
        return page, None
    if isinstance(reader, ReaderBySequence):
        return page, _after_sequence(replace(place, skip=position - len(page)), [*page, following])
    return page, replace(place_of(page[-1]), skip=position)


def _until(
    reader: SessionReader,
    session_id: str,
    place: MessagePlace,
    start: MessagePlace,
    limit: int,
    first: int | None = None,
) -> _Before | None:
    """The messages before a start, read forwards from a place; None if none of them is the one of the start.

    If it was deleted and the messages are in order of their sequences, those with lower sequences. With `first`, none of
    the first so many messages after the place is the one of the start.
    """
    selection = MessageSelection(after_sequence=place.after_sequence, first=first)
    messages = iter(reader.messages(session_id, selection))
    by_sequence = isinstance(reader, ReaderBySequence)
    kept: deque[Message] = deque(maxlen=limit)
    position = 0
    for message, is_start in _compared(messages, start):
        if is_start:
            return _Before(list(kept), message, position)
        if by_sequence and _is_after(message, start):
            return _Before(list(kept), message, position) if _is_before(kept, start) else None
        kept.append(message)
        position += 1
    is_end = by_sequence and start.sequence is not None and (first is None or position < first)
    return _Before(list(kept), None, position) if is_end and _is_before(kept, start) else None


def _compared(messages: Iterator[Message], start: MessagePlace) -> Iterator[tuple[Message, bool]]:
    """Each message, and whether it is the one of a start."""
    if start.skip == 0:
        yield from ((message, is_at(message, start)) for message in messages)
        return
    ahead: deque[tuple[Message, str]] = deque()
    for message in chain(messages, repeat(None, start.skip)):
        if message is not None:
            ahead.append((message, digest(message)))
        if ahead and (len(ahead) == start.skip or message is None):
            yield ahead[0][0], ahead[0][0].sequence is None and joined(name for _, name in ahead) == start.message_id
            ahead.popleft()


def _is_after(message: Message, start: MessagePlace) -> bool:
    return message.sequence is not None and start.sequence is not None and message.sequence > start.sequence


def _is_before(kept: Sequence[Message], start: MessagePlace) -> bool:
    """Whether the last of these messages is before a start: one without a sequence, or with the same one, may be after it."""
    if not kept:
        return True
    last = kept[-1].sequence
    return last is not None and start.sequence is not None and last < start.sequence


def _by_time(reader: SessionReader, session_id: str, start: MessagePlace, limit: int) -> _Before | None:
    """The messages before a start in order of time; None if the times do not determine them."""
    wanted = _time_key(start)
    kept: deque[Message] = deque(maxlen=limit)
    following: Message | None = None
    position, last = 0, _FIRST_KEY
    for message in reader.messages(session_id, MessageSelection()):
        key = _time_key(message)
        if key == wanted or key < last:
            return None
        last = key
        if key > wanted:
            following = following or message
        else:
            kept.append(message)
            position += 1
    return _Before(list(kept), following, position)
