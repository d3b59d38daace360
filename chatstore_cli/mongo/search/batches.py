"""Batches of sessions of which each is one short command of the server, so that a search does not slow other programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from chatstore_cli.domain.errors import Overdue


class Sized(Protocol):
    """Something that was selected, with its size in bytes."""

    @property
    def size(self) -> int:
        """The bytes of the stored documents."""


OfSize = TypeVar("OfSize", bound=Sized)
Item = TypeVar("Item")
Found = TypeVar("Found")

MILLISECONDS = 5_000
"""The time limit of one command on a batch."""

_MOST_BYTES = 4 << 20
"""Bytes of documents whose messages are fetched with one command; a document can have four times as much."""
_MOST_DOCUMENTS = 50

_WANTED_SECONDS = 0.2
"""A batch that takes less is followed by a larger one."""
_FIRST = 20
_MOST = 2_000
_GROWTH = 2


class Batches:
    """Decides how many sessions a command gets, by how long the last one took."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._size = _FIRST

    def of(
        self, items: Sequence[Item], find: Callable[[Sequence[Item]], Found]
    ) -> Iterator[tuple[Sequence[Item], Found]]:
        """Each batch with what `find` returned for it. A batch that the server cannot finish in time is divided."""
        start = 0
        while start < len(items):
            batch = items[start : start + self._size]
            began = self._clock()
            try:
                found = find(batch)
            except Overdue:
                if len(batch) == 1:
                    raise
                self._size = max(1, len(batch) // 4)
                continue
            seconds = self._clock() - began
            yield batch, found
            start += len(batch)
            if seconds < _WANTED_SECONDS:
                self._size = min(_MOST, self._size * _GROWTH)
            elif seconds > 2 * _WANTED_SECONDS:
                self._size = max(1, self._size // 2)


def chunk_of(selected: list[OfSize]) -> tuple[list[OfSize], list[OfSize]]:
    """The first ones, of which one command fetches the messages, and the others."""
    size = 0
    for count, each in enumerate(selected):
        size += each.size
        if count and (size > _MOST_BYTES or count == _MOST_DOCUMENTS):
            return selected[:count], selected[count:]
    return selected, []
