"""A page of a session's messages after a place or around a message, and the cursor for the next one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import chain, islice

from chatstore_cli.core.sessions.message_order import (
    FIRST_KEY,
    LAST_TIME,
    messages_beyond,
    messages_by_time,
    place_after,
    time_key,
)
from chatstore_cli.core.sessions.message_place import SMALLEST_SEQUENCE, MessagePlace, PlaceGone, is_at, place_of
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.session_reader import ReaderBySequence, SessionReader

LARGEST_PAGE = 1_000


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
    messages = messages_beyond(reader, session_id, place, limit)
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
    return page, place_after(reader, place, found)


def _after_place(messages: Iterator[Message], place: MessagePlace) -> tuple[int, Iterator[Message]] | None:
    """How many messages are before a place, and those after it, also if messages before it were deleted.

    If the message that the place names was deleted, its time determines the place; None if that is not possible.
    """
    if place.created_at is None and place.message_id is None:
        return place.skip, islice(messages, place.skip, None)
    later: list[Message] | None = None
    after_its_time: list[Message] | None = []
    key, wanted = FIRST_KEY, time_key(place)
    count = 0
    for message in islice(messages, place.skip):
        count += 1
        if is_at(message, place):  # the last one: messages of an application may share an id
            later = []
        elif later is not None:
            later.append(message)
        elif after_its_time is not None:
            earlier, key = key, time_key(message)
            if key == wanted or key < earlier:
                after_its_time = None
            elif key > wanted:
                after_its_time.append(message)
    later = after_its_time if later is None else later
    return None if later is None else (count - len(later), chain(later, messages))


def page_around(
    reader: SessionReader, session_id: str, hit: MessagePlace, before: int, limit: int
) -> tuple[list[Message], MessagePlace | None]:
    """The page with the message that a place names (`created_at`, `sequence`, `message_id`), after `before` others.

    The first page if the session no longer has the message.
    """
    messages = messages_by_time(reader, session_id, hit.created_at, limit)
    if messages is not None and (found := list(islice(_from_hit(messages, hit, before), limit + 1))):
        page = found[:limit]
        return page, place_of(page[-1]) if len(found) > limit else None
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
        if hit.created_at is not None and (message.created_at or LAST_TIME) - hit.created_at > timedelta(seconds=1):
            return
        if is_at(message, hit):
            yield from (*earlier, message)
            yield from messages
            return
        earlier.append(message)
