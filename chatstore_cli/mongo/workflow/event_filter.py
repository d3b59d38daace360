"""Which event ids are certainly in no segment of a chat, so that an append need not ask the server (DESIGN section 8).

The newest segment carries a Bloom filter over the event ids of all segments up to it. What it does not know is in none
of them; what it seems to know, in about one case of fifty wrongly, has to be looked up. Its filters double in size as
they fill up, so that nothing has to be counted anew: one and a half to three bytes an event.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

from chatstore_cli.mongo.bson_values import whole_number
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.identifiers import id_text

EVENT_FILTER = "event_filter"
"""In the newest segment: `messages`, how many there are in all segments up to it; `ids`, how many ids; `filters`."""

MOST_MESSAGES = 1_024 * (2**8 - 1)
"""Of more messages (a quarter of a million) no filter is kept: it would be larger than what a move takes along."""

_FIRST_CAPACITY = 1_024
_BITS_OF_AN_ID = 12
_PLACES = 6


class EventFilter:
    """The ids of events, to be asked whether one may be among them. `messages` is how many messages they are of."""

    def __init__(self, messages: int = 0) -> None:
        self.messages = messages
        self._ids = 0
        self._filters: list[bytearray] = []

    @classmethod
    def from_document(cls, segment: Document) -> EventFilter | None:
        """The one that a segment carries; None where it carries none that could be one."""
        stored = segment.get(EVENT_FILTER)
        if not isinstance(stored, dict) or not isinstance(stored.get("filters"), list):
            return None
        messages, ids = whole_number(stored.get("messages")), whole_number(stored.get("ids"))
        filters = stored["filters"]
        sizes = list(_sizes(ids or 0))
        if (
            messages is None
            or ids is None
            or [len(each) if isinstance(each, bytes) else -1 for each in filters] != sizes
        ):
            return None
        made = cls(messages)
        made._ids, made._filters = ids, [bytearray(each) for each in filters]
        return made

    def to_document(self) -> Document:
        """As a segment carries it."""
        return {"messages": self.messages, "ids": self._ids, "filters": [bytes(each) for each in self._filters]}

    @property
    def size_bytes(self) -> int:
        """What it takes in memory."""
        return sum(map(len, self._filters))

    def add(self, messages: int, event_ids: Iterable[Any]) -> None:
        """Take in so many messages and their event ids, as they are stored."""
        self.messages += messages
        for text in _texts(event_ids):
            sizes = list(_sizes(self._ids + 1))
            if len(sizes) > len(self._filters):
                self._filters.append(bytearray(sizes[-1]))
            newest = self._filters[-1]
            for place in _places(text, len(newest)):
                newest[place >> 3] |= 1 << (place & 7)
            self._ids += 1

    def may_hold(self, event_id: Any) -> bool:
        """False: the id is certainly not among them."""
        return any(
            all(each[place >> 3] & (1 << (place & 7)) for place in _places(text, len(each)))
            for text in _texts([event_id])
            for each in self._filters
        )


def _sizes(ids: int) -> Iterator[int]:
    """The bytes of each filter that so many ids need."""
    capacity = _FIRST_CAPACITY
    while ids > 0:
        yield capacity * _BITS_OF_AN_ID // 8
        ids -= capacity
        capacity *= 2


def _texts(event_ids: Iterable[Any]) -> Iterator[str]:
    """The text that each id is asked for by; a query finds what stands in an array as well."""
    for value in event_ids:
        if isinstance(value, list):
            yield from _texts(value)
        elif value is not None:
            yield id_text(value)


def _places(text: str, size: int) -> Iterator[int]:
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    first, step = int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")
    return ((first + number * step) % (size * 8) for number in range(_PLACES))
