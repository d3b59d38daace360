"""Every layout's searcher finds what reading all its messages finds, in the same order and pages.

The documents are those of tests/samples. tests/support/searched_messages.py compares documents of any content.
"""

from __future__ import annotations

import pytest

from chatstore_cli.core.search.message_text import message_text
from chatstore_cli.core.search.run import MessageSearch
from chatstore_cli.core.search.scanning import ScanningSearcher
from chatstore_cli.core.search.words import words_of
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.search.models import SearchMode, SearchQuery
from chatstore_cli.domain.search.ports import MessageSearcher
from chatstore_cli.wiring.search import searcher_of
from tests.contracts.test_layouts import Sample, layout, real_samples, sample

__all__ = ["layout", "real_samples", "sample"]


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


def test_the_searcher_of_a_layout_finds_what_reading_everything_finds(sample: Sample) -> None:
    searcher, scanning = searcher_of(sample.reader), ScanningSearcher(sample.reader)
    messages = [each for session in sample.messages for each in sample.reader.messages(session, MessageSelection())]
    words = sorted({word for each in messages for word in words_of(message_text(each))})[::5]
    queries = [
        *map(SearchQuery, words),
        *(
            SearchQuery(word[1:] or word, SearchMode.SUBSTRING, match_case=True)
            for word in words[::4]
            if word[1:].strip()
        ),
        SearchQuery(r"\w+", SearchMode.REGEX),
    ]
    for query in queries:
        assert found(searcher, query, 100) == (expected := found(scanning, query, 100)), query
    assert found(searcher, queries[-1], 1) == expected  # pages of one hit
    assert words == [] or found(searcher, SearchQuery(words[0]), 100)


@pytest.mark.parametrize("field", ["session_id", "tenant_id", "user_id", "role", "since", "until"])
def test_filters_select_what_they_select_when_everything_is_read(sample: Sample, field: str) -> None:
    searcher, scanning = searcher_of(sample.reader), ScanningSearcher(sample.reader)
    everything = SearchQuery(r"\w+", SearchMode.REGEX)
    for hit in list(MessageSearch([scanning], everything, limit=100).hits())[::2]:
        message = hit.message
        of_message = {"session_id": message.session_id, "role": message.role}
        value = {**of_message, "tenant_id": hit.tenant_id, "user_id": hit.user_id}.get(field, hit.place)
        if value is not None:
            query = SearchQuery(r"\w+", SearchMode.REGEX, **{field: value})  # type: ignore[arg-type] - any filter
            assert found(searcher, query, 100) == found(scanning, query, 100), query
