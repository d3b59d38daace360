"""Every layout's searcher finds what reading all its messages finds, in the same order and pages.

The documents are those of tests/samples. tests/support/searched_messages.py compares documents of any content.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from chatstore_cli.core.search.message_text import message_text
from chatstore_cli.core.search.run import MessageSearch
from chatstore_cli.core.search.scanning import ScanningSearcher
from chatstore_cli.core.search.words import words_of
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.search.models import SearchMode, SearchQuery
from chatstore_cli.domain.search.ports import MessageSearcher
from chatstore_cli.wiring.search import searcher_of
from tests.contracts.test_layouts import Sample, layout, real_samples

__all__ = ["layout", "real_samples"]


def found(searcher: MessageSearcher, query: SearchQuery, page: int) -> list[tuple[object, ...]]:
    hits: list[tuple[object, ...]] = []
    cursor = None
    while True:
        search = MessageSearch([searcher], query, limit=page, cursor=cursor)
        hits += [(repr(hit.message), hit.place, hit.offsets, hit.tenant_id, hit.user_id) for hit in search.hits()]
        assert search.failure is None
        cursor = search.next_cursor
        if cursor is None:
            return hits


@pytest.fixture
def stored(layout: str, real_samples: Callable[[str], Sample]) -> Sample:
    """The sample of each layout on the real server. In memory every search reads everything."""
    return real_samples(layout)


def test_the_searcher_of_a_layout_finds_what_reading_everything_finds(stored: Sample) -> None:
    searcher, scanning = searcher_of(stored.reader), ScanningSearcher(stored.reader)
    messages = [each for session in stored.messages for each in stored.reader.messages(session, MessageSelection())]
    words = sorted({word for each in messages for word in words_of(message_text(each))})[::7]
    parts = (word[1:] for word in words[::4] if word[1:].strip())
    everything = SearchQuery(r"\w+", SearchMode.REGEX)
    for query in [*map(SearchQuery, words), *(SearchQuery(part, SearchMode.SUBSTRING) for part in parts), everything]:
        assert found(searcher, query, 100) == (expected := found(scanning, query, 100)), query
    assert found(searcher, everything, 1) == expected  # pages of one hit
    assert not words or found(searcher, SearchQuery(words[0]), 100)


def test_filters_select_what_they_select_when_everything_is_read(stored: Sample) -> None:
    searcher, scanning = searcher_of(stored.reader), ScanningSearcher(stored.reader)
    everything = SearchQuery(r"\w+", SearchMode.REGEX)
    filters: set[tuple[str, object]] = set()
    for hit in list(MessageSearch([scanning], everything, limit=100).hits())[::3]:
        message = hit.message
        values = {"session_id": message.session_id, "role": message.role, "tenant_id": hit.tenant_id}
        values |= {"user_id": hit.user_id, "since": hit.place, "until": hit.place}
        filters |= {(name, value) for name, value in values.items() if value is not None}
    for name, value in filters:
        query = replace(everything, **{name: value})
        assert found(searcher, query, 100) == found(scanning, query, 100), query
