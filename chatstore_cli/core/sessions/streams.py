"""All sessions of several layouts as one stream, in little memory."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence

from chatstore_cli.domain.queries import SessionKey, SessionQuery
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.session_reader import ReaderInOneStream, SessionReader

_FIRST_PAGE, _LARGEST_PAGE = 500, 4_000
"""Sessions of a page. Pages double in size, because some variants have no index that begins where a page begins."""


def stream_sessions(
    readers: Sequence[SessionReader], query: SessionQuery, after: SessionKey | None = None
) -> Iterator[Session]:
    """Every session that matches, in descending order of SessionKey. Only indexed filters cost what they should.

    Each reader reads a page when the one before it is used up, so that the stream needs the memory of one page per layout.
    """
    return heapq.merge(*(_of(reader, query, after) for reader in readers), key=SessionKey.of, reverse=True)


def _of(reader: SessionReader, query: SessionQuery, after: SessionKey | None) -> Iterator[Session]:
    if isinstance(reader, ReaderInOneStream):
        yield from reader.all_newest_first(query, after)
        return
    size = _FIRST_PAGE
    while page := list(reader.newest_first(query, after, size)):
        yield from page
        if len(page) < size:
            return
        after, size = SessionKey.of(page[-1]), min(2 * size, _LARGEST_PAGE)
