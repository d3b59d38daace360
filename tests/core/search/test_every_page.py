"""All hits of a search, page after page."""

from __future__ import annotations

from chatstore_cli.core.search.every_page import EveryPage
from chatstore_cli.core.search.run import MessageSearch
from chatstore_cli.domain.errors import Unreachable
from chatstore_cli.domain.search.models import SearchQuery, SearchStep
from tests.core.search.test_run import Steps, at, message, name


def steps_of(count: int) -> list[SearchStep]:
    return [SearchStep(at(-minute), [message("s", -minute, count - minute)]) for minute in range(count)]


def test_every_hit_once_and_each_note_once() -> None:
    searchers = [Steps("layout", steps_of(7)), Steps("flat", [])]

    def page_after(cursor: str | None) -> MessageSearch:
        return MessageSearch(searchers, SearchQuery("word", tenant_id="acme"), limit=3, cursor=cursor)

    found = EveryPage(page_after, None)
    assert [name(hit) for hit in found.hits()] == [f"layout s-{number}" for number in range(7, 0, -1)]
    assert (found.next_cursor, found.failure) == (None, None)
    assert len(found.notes) == 1
    assert "tenant" in found.notes[0]
    assert len(searchers[0].asked) == 3


def test_a_failure_on_a_later_page_ends_the_search_and_names_its_place() -> None:
    pages = iter([Steps("layout", steps_of(7)), Steps("layout", steps_of(7), Unreachable(what="gone"), fails_at=4)])

    def page_after(cursor: str | None) -> MessageSearch:
        return MessageSearch([next(pages)], SearchQuery("word"), limit=3, cursor=cursor)

    found = EveryPage(page_after, None)
    assert [name(hit) for hit in found.hits()] == ["layout s-7", "layout s-6", "layout s-5", "layout s-4"]
    assert isinstance(found.failure, Unreachable)
    assert found.next_cursor is not None
    assert found.searched_back_to == at(-3)


def test_an_interrupt_during_the_output_of_a_page_ends_the_search_on_the_next_one() -> None:
    def page_after(cursor: str | None) -> MessageSearch:
        return MessageSearch([Steps("layout", steps_of(7))], SearchQuery("word"), limit=3, cursor=cursor)

    found = EveryPage(page_after, None)
    shown = []
    for hit in found.hits():
        shown.append(name(hit))
        if len(shown) == 3:
            found.is_stopped = True
    assert shown == ["layout s-7", "layout s-6", "layout s-5"]
    assert isinstance(found.failure, KeyboardInterrupt)
