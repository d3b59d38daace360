"""Which messages of a session a selection contains, and in which order, without reading the messages."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence

from chatstore_cli.domain.message import GENERAL_AGENT
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.mongo.bson_arrays import StoredArray
from chatstore_cli.mongo.bson_values import whole_number
from chatstore_cli.mongo.session_documents.documents import order_keys


def chosen(
    arrays: Sequence[StoredArray], selection: MessageSelection, key_before: Callable[[StoredArray], int | None]
) -> Iterator[tuple[StoredArray, Sequence[int]]]:
    """The arrays with the positions of their selected elements, in order. The caller leaves out general messages.

    `key_before` returns the highest sequence before an array, because its first messages may have none of their own.
    """

    def ordered(elements: StoredArray) -> tuple[Sequence[int], list[int]]:
        sequences = elements.values("sequence")
        before = None
        if selection.after_sequence is not None and sequences and whole_number(sequences[0]) is None:
            before = key_before(elements)
        return _ordered(order_keys(sequences, before))

    if selection.last is None:
        for elements in arrays:
            order, keys = ordered(elements)
            yield elements, order[_first_after(keys, selection) :]
        return
    missing = selection.last
    newest: list[tuple[StoredArray, Sequence[int]]] = []
    for elements in reversed(arrays):
        if missing <= 0:
            break
        order, keys = ordered(elements)
        start = len(order)
        shown = _shown(elements, selection)
        while start > _first_after(keys, selection) and missing > 0:
            start -= 1
            missing -= shown is None or shown[order[start]]
        newest.append((elements, order[start:]))
    yield from reversed(newest)


def _ordered(keys: list[int]) -> tuple[Sequence[int], list[int]]:
    """Positions in order, and their keys in the same order."""
    in_order = sorted(keys)
    if keys == in_order:
        return range(len(keys)), keys
    return sorted(range(len(keys)), key=keys.__getitem__), in_order


def _first_after(keys: list[int], selection: MessageSelection) -> int:
    return 0 if selection.after_sequence is None else bisect_right(keys, selection.after_sequence)


def first_of(
    elements: StoredArray, positions: Sequence[int], count: int | None, selection: MessageSelection
) -> tuple[Sequence[int], int | None]:
    """The positions with at most `count` shown messages, and how many are missing then; None for no limit."""
    if count is None:
        return positions, None
    shown = _shown(elements, selection)
    if shown is None:
        return positions[:count], count - min(count, len(positions))
    for index, position in enumerate(positions):
        if count <= 0:
            return positions[:index], 0
        count -= shown[position]
    return positions, count


def _shown(elements: StoredArray, selection: MessageSelection) -> list[bool] | None:
    """Whether each element is shown; None if all are."""
    if selection.include_general:
        return None
    sources = zip(elements.values("source"), elements.values("metadata.source"), strict=False)
    return [GENERAL_AGENT not in pair for pair in sources]
