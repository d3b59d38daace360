"""The searchers of the layouts: those that have an index or a filter in the server, and the generic one for the others."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from chatstore_cli.domain.errors import BadValue

if TYPE_CHECKING:
    from chatstore_cli.domain.search.ports import MessageSearcher, WordsIndexer
    from chatstore_cli.domain.session_reader import SessionReader
    from chatstore_cli.wiring.stores import Stores


def message_searchers(readers: Sequence[SessionReader]) -> list[MessageSearcher]:
    """The searchers of the layouts of these readers."""
    return list(map(searcher_of, readers))


def searcher_of(reader: SessionReader) -> MessageSearcher:
    """The layout's own searcher. The generic one serves layouts without one, and mongomock."""
    from chatstore_cli.core.search.scanning import ScanningSearcher
    from chatstore_cli.domain.search.ports import ReaderWithSearcher

    if isinstance(reader, ReaderWithSearcher):
        return reader.message_searcher()
    return ScanningSearcher(reader)


def words_indexers(stores: Stores, layout: str | None = None) -> list[WordsIndexer]:
    """The indexers of the layouts that can have an index of words. Raises BadValue for others."""
    from chatstore_cli.domain.search.ports import ReaderWithWords

    stores.read_from_primary()
    readers = [each for each in stores.session_readers(layout) if isinstance(each, ReaderWithWords)]
    if not readers and layout is not None:
        expected = "workflow or general, whose sessions can have an index of words"
        raise BadValue(name="--layout", value=layout, expected=expected)
    return [reader.words_indexer(stores.server_now) for reader in readers]


SECONDS_PER_MESSAGE = 5.0
"""The time that a regular expression may take on one message."""


@contextmanager
def pattern_limit() -> Iterator[None]:
    """Raise TimeoutError inside the block if it takes more than SECONDS_PER_MESSAGE of processor time.

    Only a signal stops Python's regular expressions, and only the main thread receives one: in other threads, and on
    systems without these signals, there is no limit.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError

    earlier = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS_PER_MESSAGE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, earlier)
