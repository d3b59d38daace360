"""Updating the index of words of all layouts that have one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from chatstore_cli.domain.search.models import WordsUpdate

if TYPE_CHECKING:
    from chatstore_cli.domain.search.ports import WordsIndexer


def update_words(
    indexers: Sequence[WordsIndexer], clock: Callable[[], float], *, everything: bool = False
) -> Iterator[list[WordsUpdate]]:
    """The updates of the layouts, after every step. The last ones are the result; they may be stopped after any."""
    updates: list[WordsUpdate] = []
    for indexer in indexers:
        began = clock()
        update = WordsUpdate(indexer.layout)
        updates.append(update)
        for step in indexer.update(everything=everything):
            update.sessions += step.sessions
            update.read += step.read
            update.removed += step.removed
            update.seconds = clock() - began
            yield updates
