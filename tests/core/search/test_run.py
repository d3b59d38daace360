"""Hits of several layouts as one list: order, pages, filters, and what remains of a search that ends early."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore_cli.core.search.run import MessageSearch
from chatstore_cli.domain.errors import BadValue, Unreachable, WrongUse
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.search.models import Candidate, SearchHit, SearchMode, SearchQuery, SearchStep, TextFilter
from chatstore_cli.domain.session_reader import SessionReader

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def at(minutes: float | None) -> datetime | None:
    return None if minutes is None else NOON + timedelta(minutes=minutes)


class Reader:
    """What a search needs of a layout's reader."""

    def __init__(self, layout: str) -> None:
        self.layout = layout

    def unanswerable(self, query: Any) -> list[str]:
        return ["tenant"] if query.tenant_id is not None and self.layout == "flat" else []


@dataclass
class Steps:
    """A searcher with fixed steps. It counts those that were read."""

    layout: str
    found: list[SearchStep]
    failure: BaseException | None = None
    fails_at: int = -1
    read: int = 0
    is_closed: bool = False
    asked: list[tuple[SearchQuery, TextFilter]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reader = cast(SessionReader, Reader(self.layout))

    def steps(self, query: SearchQuery, text: TextFilter) -> Iterator[SearchStep]:
        self.asked.append((query, text))
        try:
            for step in self.found:
                if self.failure is not None and self.read == self.fails_at:
                    self.read += 1
                    raise self.failure
                self.read += 1
                yield step
        finally:
            self.is_closed = True


def message(session: str, minutes: float | None, sequence: int, text: str = "word", role: str = "user") -> Candidate:
    return Candidate(Message(session, role, text, f"{session}-{sequence}", sequence, created_at=at(minutes)))


def run(
    *searchers: Steps, limit: int = 100, cursor: str | None = None, **filters: Any
) -> tuple[list[str], MessageSearch]:
    search = MessageSearch(searchers, SearchQuery("word", **filters), limit=limit, cursor=cursor)
    return [name(hit) for hit in search.hits()], search


def name(hit: SearchHit) -> str:
    return f"{hit.layout} {hit.message.message_id}"


def session_steps(layout: str, updates: list[tuple[int | None, list[int | None]]]) -> list[SearchStep]:
    """A step for each session: its last update, and the times of its messages."""
    ordered = sorted(updates, key=lambda each: -1e9 if each[0] is None else each[0], reverse=True)
    return [
        SearchStep(at(update), [message(f"{layout}{number}", minute, index) for index, minute in enumerate(minutes)])
        for number, (update, minutes) in enumerate(ordered)
    ]


minutes = st.one_of(st.none(), st.integers(0, 12))
layouts = st.lists(st.lists(st.tuples(minutes, st.lists(minutes, max_size=4)), max_size=4), min_size=1, max_size=3)


def expected(all_steps: list[list[SearchStep]]) -> list[str]:
    """The order by definition: the time, not later than the update of the session; then layout, session and sequence."""
    hits = []
    for number, steps in enumerate(all_steps):
        for step in steps:
            for each in step.candidates:
                moment = each.message.created_at or step.reached
                place = None if moment is None else moment if step.reached is None else min(moment, step.reached)
                if step.reached is None:
                    place = moment
                hits.append(((place or datetime.min.replace(tzinfo=UTC), str(number), each.message.session_id,
                              each.message.sequence), f"{number} {each.message.message_id}"))  # fmt: skip
    return [shown for _, shown in sorted(hits, reverse=True)]


@given(layouts, st.integers(1, 5))
def test_pages_have_every_hit_once_in_order(sessions: list[Any], limit: int) -> None:
    # A message later than its session's update sorts by the update before it; here no message is.
    clean = [
        [(update, [None if update is None or minute is None else min(minute, update) for minute in each])
         for update, each in layout] for layout in sessions
    ]  # fmt: skip
    all_steps = [session_steps(str(number), layout) for number, layout in enumerate(clean)]
    found: list[str] = []
    cursor: str | None = None
    while True:
        searchers = [Steps(str(number), steps) for number, steps in enumerate(all_steps)]
        page, search = run(*searchers, limit=limit, cursor=cursor)
        found += page
        assert len(page) <= limit
        cursor = search.next_cursor
        if cursor is None:
            break
        assert len(page) == limit
    assert found == expected(all_steps)


@given(layouts, st.integers(1, 5), st.lists(st.booleans(), max_size=30))
def test_pages_that_end_when_their_time_is_over_have_every_hit_once(
    sessions: list[Any], limit: int, over: list[bool]
) -> None:
    all_steps = [session_steps(str(number), layout) for number, layout in enumerate(sessions)]
    whole, _ = run(*[Steps(str(number), steps) for number, steps in enumerate(all_steps)])
    found: list[str] = []
    cursor: str | None = None
    for _ in range(200):
        searchers = [Steps(str(number), steps) for number, steps in enumerate(all_steps)]
        search = MessageSearch(
            searchers,
            SearchQuery("word"),
            limit=limit,
            cursor=cursor,
            is_time_over=lambda: over.pop() if over else True,
        )
        found += [name(hit) for hit in search.hits()]
        assert search.failure is None
        assert all(each.is_closed for each in searchers if each.read)
        cursor = search.next_cursor
        if cursor is None:
            break
    assert found == whole


def test_a_page_whose_time_is_over_ends_once_it_has_come_further() -> None:
    slow = Steps("slow", [SearchStep(at(minute)) for minute in range(9, 0, -1)])
    cursor = None
    reached = []
    for _ in range(3):
        search = MessageSearch([slow], SearchQuery("word"), limit=10, cursor=cursor, is_time_over=lambda: True)
        assert list(search.hits()) == []
        cursor = search.next_cursor
        assert cursor is not None
        reached.append(search.searched_back_to)
    assert reached == [at(9), at(8), at(7)]


@given(layouts, st.integers(1, 4), st.integers(0, 12), st.sampled_from([KeyboardInterrupt(), Unreachable(what="gone")]))
def test_a_search_that_ends_early_keeps_what_it_found_and_continues(
    sessions: list[Any], limit: int, fails_at: int, failure: BaseException
) -> None:
    all_steps = [session_steps(str(number), layout) for number, layout in enumerate(sessions)]
    whole, _ = run(*[Steps(str(number), steps) for number, steps in enumerate(all_steps)])
    broken = [Steps(str(number), steps, failure, fails_at) for number, steps in enumerate(all_steps)]
    first, search = run(*broken, limit=limit)
    again = [Steps(str(number), steps) for number, steps in enumerate(all_steps)]
    rest = [] if search.next_cursor is None and search.failure is None else run(*again, cursor=search.next_cursor)[0]
    assert len(first) == len(set(first)) <= limit
    assert set(first) | set(rest) == set(whole)
    assert all(each.is_closed for each in broken if each.read)


def test_a_hit_is_returned_as_soon_as_nothing_newer_can_follow() -> None:
    flat = Steps("flat", [SearchStep(at(10), [message("a", 10, 1)]), SearchStep(at(5), [message("b", 5, 1)])])
    slow = Steps("slow", [SearchStep(at(minute)) for minute in range(9, 0, -1)])
    search = MessageSearch([flat, slow], SearchQuery("word"), limit=10)
    hits = search.hits()
    assert name(next(hits)) == "flat a-1"
    assert (flat.read, slow.read) == (2, 1)
    assert name(next(hits)) == "flat b-1"
    assert slow.read == 6  # it has reached minute 4
    hits.close()
    assert flat.is_closed
    assert slow.is_closed


def test_a_full_page_stops_reading() -> None:
    flat = Steps("flat", [SearchStep(at(-each), [message(f"s{each}", -each, 1)]) for each in range(1000)])
    found, search = run(flat, limit=3)
    assert found == ["flat s0-1", "flat s1-1", "flat s2-1"]
    assert search.next_cursor is not None
    assert flat.read == 4


def test_filters_on_messages() -> None:
    steps = [
        SearchStep(at(9), [message("a", 9, 1, role="tool"), message("a", 8, 2, text="other"), message("a", 7, 3)]),
        SearchStep(at(6), [message("b", 5, 1), message("b", None, 2)]),
        SearchStep(at(1), [message("c", 1, 1)]),
        SearchStep(None, [message("d", None, 1)]),
    ]
    assert run(Steps("flat", steps))[0] == [f"flat {each}" for each in ("a-1", "a-3", "b-2", "b-1", "c-1", "d-1")]
    assert run(Steps("flat", steps), role="tool")[0] == ["flat a-1"]
    assert run(Steps("flat", steps), since=at(5))[0] == [f"flat {each}" for each in ("a-1", "a-3", "b-2", "b-1")]
    assert run(Steps("flat", steps), until=at(7), since=at(1))[0] == ["flat b-2", "flat b-1", "flat c-1"]
    ended = Steps("flat", steps)
    run(ended, since=at(7))
    assert ended.read == 2  # nothing after the first update before `since` is read


def test_layouts_that_cannot_answer_are_named() -> None:
    flat = Steps("flat", [SearchStep(at(1), [message("a", 1, 1)])])
    found, search = run(flat, Steps("other", []), tenant_id="acme")
    assert (found, flat.asked) == ([], [])
    assert search.notes == ["The layout flat has no tenant, so its sessions are left out."]


def test_searchers_get_the_words_and_patterns() -> None:
    flat = Steps("flat", [])
    list(MessageSearch([flat], SearchQuery("Late ORDER"), limit=1).hits())
    query, text = flat.asked[0]
    assert (query.text, text.words) == ("Late ORDER", ("late", "order"))
    assert text.patterns
    list(MessageSearch([flat], SearchQuery("la.e", SearchMode.REGEX), limit=1).hits())
    assert flat.asked[1][1] == TextFilter()


def test_the_text_decides_and_not_the_searcher() -> None:
    calls = [
        {"type": "function", "function": {"name": "refund_order", "arguments": '{"city": "K\\u00f6ln", "n": 4711}'}}
    ]
    candidate = Candidate(Message("a", "assistant", None, "m", 1, created_at=at(0), tool_calls=calls), "acme", "ada")
    for text in ("refund_order", "köln", "4711"):
        (hit,) = MessageSearch([Steps("x", [SearchStep(at(0), [candidate])])], SearchQuery(text), limit=5).hits()
        assert (hit.snippet, hit.snippet_start, hit.text_length) == ("refund_order\nKöln\n4711", 0, 22)
        assert (hit.tenant_id, hit.user_id) == ("acme", "ada")
    for text in ("city", "function"):
        assert not list(
            MessageSearch([Steps("x", [SearchStep(at(0), [candidate])])], SearchQuery(text), limit=5).hits()
        )


def test_a_pattern_that_takes_too_long_ends_the_search() -> None:
    @contextmanager
    def limited() -> Iterator[None]:
        yield
        raise TimeoutError

    steps = Steps("flat", [SearchStep(at(0), [message("a", 0, 1)])])
    search = MessageSearch([steps], SearchQuery("(w+)+x", SearchMode.REGEX), limit=5, limited=limited)
    assert not list(search.hits())
    assert isinstance(search.failure, WrongUse)
    assert "message a-1 of session 'a' in flat" in search.failure.message


@pytest.mark.parametrize("cursor", ["", "x", "WyIyMDI2Il0", "\udcff", "W10"])
def test_an_invalid_cursor(cursor: str) -> None:
    with pytest.raises(BadValue):
        MessageSearch([], SearchQuery("word"), limit=1, cursor=cursor)


@pytest.mark.parametrize("limit", [0, 10_001])
def test_an_invalid_limit(limit: int) -> None:
    with pytest.raises(BadValue):
        MessageSearch([], SearchQuery("word"), limit=limit)
