"""The page of a session's messages before another page, and the cursor for that one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice, repeat
from typing import NamedTuple

from chatstore_cli.core.sessions.message_order import FIRST_KEY, messages_beyond, place_after, time_key
from chatstore_cli.core.sessions.message_place import (
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
from chatstore_cli.domain.session_reader import ReaderBySequence, SessionReader

_WIDEST = 1 << 20
"""Sequences before a page that are searched for the page before it. Beyond that gaps are so wide that everything is read."""

_IN_A_NAME = 5
"""Messages whose contents name the start of a page, if the first one has neither an id nor a sequence: many contain only "ok"."""


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
    newest_first = messages_beyond(reader, session_id, start, limit, back=True)
    if newest_first is not None:
        page = list(islice(newest_first, limit))[::-1]
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


class _Before(NamedTuple):
    """The last messages before a place, the one after the place (None at the end), and how many were read before that."""

    page: list[Message]
    following: Message | None
    position: int


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
    wanted = time_key(start)
    kept: deque[Message] = deque(maxlen=limit)
    following: Message | None = None
    position, last = 0, FIRST_KEY
    for message in reader.messages(session_id, MessageSelection()):
        key = time_key(message)
        if key == wanted or key < last:
            return None
        last = key
        if key > wanted:
            following = following or message
        else:
            kept.append(message)
            position += 1
    return _Before(list(kept), following, position)


def _page_of(reader: SessionReader, place: MessagePlace, found: _Before) -> tuple[list[Message], MessagePlace | None]:
    """What `page_before` returns of messages that were read from a place."""
    page, following, position = found
    if not page or following is None:
        return page, None
    return page, place_after(reader, replace(place, skip=position - len(page)), [*page, following])
