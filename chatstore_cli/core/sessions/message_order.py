"""The order of a session's messages, and where reading continues beside one of them, also after it was deleted.

A reader gives one of three orders: by time (ReaderByTime, unless the stored times have several forms), by sequence
(ReaderBySequence), or the messages one after another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

from chatstore_cli.core.sessions.message_place import SMALLEST_SEQUENCE, MessagePlace, is_at, place_of
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.session_reader import ReaderBySequence, ReaderByTime, SessionReader

FIRST_TIME = datetime.min.replace(tzinfo=UTC)
LAST_TIME = datetime.max.replace(tzinfo=UTC)
FIRST_KEY = (FIRST_TIME, SMALLEST_SEQUENCE)
"""The lowest `time_key`."""

_ABSENT = -1
_OF_ONE_SECOND = 5
"""Messages that are usually read beside those of a page, because they have the second of its place, or come after it."""


def time_key(message: Message | MessagePlace, without_time: datetime = FIRST_TIME) -> tuple[datetime, int]:
    """The order of times, and of sequences at one time."""
    return message.created_at or without_time, _ABSENT if message.sequence is None else message.sequence


def messages_by_time(
    reader: SessionReader, session_id: str, moment: datetime | None, limit: int, *, back: bool = False
) -> Iterator[Message] | None:
    """The messages from the moment's second on, if the reader finds them by their time.

    `back`: those up to the end of that second, newest first. About `limit` of them are needed.
    """
    if moment is None or not isinstance(reader, ReaderByTime):
        return None
    read = reader.messages_until if back else reader.messages_from
    return read(session_id, moment, limit + _OF_ONE_SECOND)


def messages_beyond(
    reader: SessionReader, session_id: str, place: MessagePlace, limit: int, *, back: bool = False
) -> Iterator[Message] | None:
    """The messages after the one that a place names (`back`: before it, newest first), if the reader finds them by time."""
    messages = messages_by_time(reader, session_id, place.created_at, limit, back=back)
    return None if messages is None else _beyond(messages, place, back=back)


def _beyond(messages: Iterator[Message], place: MessagePlace, *, back: bool) -> Iterator[Message]:
    """The messages beyond that of the place; if it no longer exists, those whose time and sequence are not before it."""
    moment, _ = wanted = time_key(place)
    of_its_instant: list[Message] = []

    def key(message: Message) -> tuple[datetime, int]:
        return time_key(message, LAST_TIME)  # in this order, messages without a time come last

    def rest() -> Iterator[Message]:
        return (each for each in of_its_instant if (key(each) <= wanted if back else key(each) >= wanted))

    for message in messages:
        time, _ = key(message)
        if time == moment:
            if is_at(message, place):
                yield from messages
                return
            of_its_instant.append(message)
        elif (time < moment) is back:
            yield from rest()
            yield message
            yield from messages
            return
    yield from rest()


def place_after(reader: SessionReader, place: MessagePlace, found: Sequence[Message]) -> MessagePlace:
    """The place before the last of these messages, which were read from a place.

    In the order of sequences, it is after the last sequence that a higher one follows, so that nothing before it is read.
    """
    name = place_of(found[-2])
    if isinstance(reader, ReaderBySequence):
        for distance, (later, earlier) in enumerate(pairwise(reversed(found))):
            if later.sequence is not None and earlier.sequence is not None and later.sequence > earlier.sequence:
                if distance == 0:
                    return MessagePlace(earlier.sequence)
                return replace(name, after_sequence=earlier.sequence, skip=distance)
    return replace(name, after_sequence=place.after_sequence, skip=place.skip + len(found) - 1)
