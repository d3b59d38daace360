"""Lists that no index serves: which sessions they have, in which order, and where they stop. Clocks are passed in."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from chatstore_cli.core.sessions.listing import AllSessions, SessionPage, list_sessions
from chatstore_cli.core.sessions.sorting import SORT_FIELDS, SessionOrder
from chatstore_cli.domain.errors import BadValue, WrongUse
from chatstore_cli.domain.queries import SessionKey, SessionQuery
from chatstore_cli.domain.session import COUNT_CAP, Session
from chatstore_cli.domain.usage import KnownUsage
from tests.core.sessions.test_listing import MemoryReader

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def session(
    name: str, minutes: int = 0, *, tokens: int | None = None, cost: str | None = None, **facts: Any
) -> Session:
    usage = None if tokens is None and cost is None else KnownUsage(0, tokens, tokens, Decimal(cost) if cost else None)
    return Session(name, "workflow", updated_at=NOON + timedelta(minutes=minutes), usage=usage, **facts)


@dataclass
class ReaderOfStoredUsage(MemoryReader):
    """A layout whose list has no usage and no exact counts: they are looked up."""

    used: dict[str, KnownUsage] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)

    def with_usage(self, sessions: Sequence[Session]) -> list[Session]:
        return [replace(each, usage=self.used.get(each.session_id)) for each in sessions]

    def having_used(self, model: str, session_ids: Sequence[str]) -> Collection[str]:
        return {name for name in session_ids if self.models.get(name) == model}

    def find(self, session_id: str) -> Session | None:
        found = super().find(session_id)
        return None if found is None else replace(found, message_count=2 * COUNT_CAP, message_count_capped=False)


def page(readers: Sequence[MemoryReader], *, order: str | None = None, limit: int = 20, **filters: Any) -> SessionPage:
    parsed = None if order is None else SessionOrder.parse(order)
    return list_sessions(readers, SessionQuery(**filters), cursor=None, limit=limit, order=parsed, seconds=lambda: 0.0)


def names(found: SessionPage) -> list[str]:
    return [each.session_id for each in found.sessions]


THREE = [
    session("a", 1, tokens=5, cost="0.5", title="Straße", message_count=3),
    session("b", 2, tokens=900, title="refund", message_count=1),
    session("c", 3, message_count=2, workflow="Alpha"),
]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"title": "STRASSE"}, ["a"]),
        ({"title": "FUND"}, ["b"]),
        ({"title": "alpha"}, []),  # the name of the workflow is not a title
        ({"min_messages": 2}, ["c", "a"]),
        ({"min_tokens": 5}, ["b", "a"]),
        ({"min_tokens": 0}, ["b", "a"]),  # an unknown number is not at least 0
        ({"min_cost": Decimal("0.50")}, ["a"]),
        ({"min_cost": Decimal("0.51")}, []),
    ],
)
def test_a_filter_keeps_the_order_of_the_list(filters: dict[str, Any], expected: list[str]) -> None:
    assert names(page([MemoryReader("workflow", THREE)], **filters)) == expected


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("cost", ["a", "c", "b"]),
        ("tokens", ["b", "a", "c"]),
        ("tokens:asc", ["a", "b", "c"]),  # what is unknown comes last in both directions
        ("messages", ["a", "c", "b"]),
        ("updated:asc", ["a", "b", "c"]),
        ("updated", ["c", "b", "a"]),
        ("title", ["c", "b", "a"]),  # Alpha, refund, Straße
        ("title:desc", ["a", "b", "c"]),
        ("session:desc", ["c", "b", "a"]),
        ("status", ["c", "b", "a"]),  # equal ones: the newest first
    ],
)
def test_orders(order: str, expected: list[str]) -> None:
    assert names(page([MemoryReader("workflow", THREE)], order=order)) == expected


def test_every_order_sorts_sessions_without_any_value() -> None:
    bare = [Session("x", "workflow"), Session("y", "workflow")]
    for field_name in SORT_FIELDS:
        for direction in ("", ":asc", ":desc"):
            assert len(page([MemoryReader("workflow", bare)], order=field_name + direction).sessions) == 2


@pytest.mark.parametrize("text", ["", "costs", "cost:", "cost:up", "cost:asc:asc", ":asc", "$where"])
def test_another_order_is_rejected(text: str) -> None:
    with pytest.raises(BadValue, match="--sort") as error:
        SessionOrder.parse(text)
    if text == "costs":
        assert error.value.hint == "Did you mean 'cost'?"


def test_a_sorted_page_knows_the_total_and_has_no_cursor() -> None:
    found = page([MemoryReader("workflow", THREE)], order="cost", limit=2)
    assert (found.total, found.is_truncated, found.next_cursor) == (3, True, None)
    cursor = SessionKey.of(THREE[0]).to_cursor()
    for order in ("cost", "updated"):
        with pytest.raises(WrongUse, match="--cursor cannot be combined with --sort"):
            list_sessions([], SessionQuery(), cursor=cursor, limit=5, order=SessionOrder.parse(order))


def test_a_filtered_page_has_a_cursor_that_continues_it() -> None:
    reader = MemoryReader("workflow", [session(f"s{minute}", minute, title="t" * (minute % 2)) for minute in range(9)])
    first = page([reader], title="t", limit=2)
    second = list_sessions([reader], SessionQuery(title="t"), cursor=first.next_cursor, limit=2)
    assert (names(first), names(second), second.next_cursor) == (["s7", "s5"], ["s3", "s1"], None)


class ReaderOfMany(MemoryReader):
    """A layout with so many sessions that sorting them for each page would take seconds. They are given newest first."""

    def all_newest_first(self, query: SessionQuery, after: SessionKey | None) -> Iterator[Session]:
        for each in self.sessions:
            self.asked += 1
            yield each


def many(number: int, **facts: Any) -> list[Session]:
    return [session(f"s{index:06}", -index, **facts) for index in range(number)]


def test_10_000_sessions_are_read_and_one_more_is_too_many() -> None:
    exact = ReaderOfMany("workflow", many(10_000))
    assert len(page([exact], order="created", limit=3).sessions) == 3
    one_more = ReaderOfMany("workflow", [*exact.sessions, session("more", -10_000)])
    with pytest.raises(WrongUse) as error:
        page([one_more], order="created", min_messages=0, tenant_id=None, limit=3)
    assert error.value.message == (
        "More than 10,000 sessions match the other options, and --sort and --min-messages must read each of them, because "
        "no index has that."
    )
    assert error.value.hint == "Narrow the list with --since, --until, --tenant, --user, --workflow or --layout."
    with pytest.raises(WrongUse, match=r"^More than 10,000"):
        AllSessions([one_more], SessionQuery(title="x"))


def test_a_page_that_is_full_before_ends_the_reading() -> None:
    reader = ReaderOfMany("workflow", many(20_000))
    found = page([reader], min_messages=0, limit=3)
    assert (len(found.sessions), found.is_truncated) == (3, True)
    assert reader.asked <= 500


def test_it_stops_after_5_seconds_by_the_clock_that_it_was_given() -> None:
    """The clock is read once at the beginning and once for each chunk of 250 sessions."""
    reader = ReaderOfMany("workflow", many(2_000, tenant_id="x", user_id="y"))
    in_time, too_late = count(0, 0.5), count(0, 1.0)
    order = SessionOrder.parse("title")
    query = SessionQuery(
        layout="workflow", since=NOON - timedelta(days=9), until=NOON + timedelta(1), tenant_id="x", user_id="y"
    )
    listed = list_sessions([reader], query, cursor=None, limit=1, order=order, seconds=lambda: next(in_time))
    assert listed.total == 2_000
    with pytest.raises(WrongUse, match=r"^After 5 seconds and 1,500 sessions") as error:
        list_sessions([reader], query, cursor=None, limit=1, order=order, seconds=lambda: next(too_late))
    assert error.value.hint == "Narrow the list with --workflow."


def test_usage_models_and_counts_that_a_list_does_not_have_are_looked_up() -> None:
    capped = session("capped", 3, message_count=COUNT_CAP, message_count_capped=True)
    reader = ReaderOfStoredUsage(
        "workflow",
        [session("a", 1), session("b", 2), capped],
        used={"a": KnownUsage(1, 1, 2, Decimal(2)), "b": KnownUsage(5, 5, 10, Decimal(1))},
        models={"a": "m", "capped": "m"},
    )
    other = MemoryReader("messages", [Session("flat", "messages", updated_at=NOON)])
    assert names(page([reader], order="cost")) == ["a", "b", "capped"]
    assert names(page([reader], min_tokens=3)) == ["b"]
    assert names(page([reader], min_messages=COUNT_CAP + 1)) == ["capped"]
    of_model = page([reader, other], model="m")
    assert names(of_model) == ["capped", "a"]
    assert of_model.notes == ["The layout messages has no model, so its sessions are left out."]


def test_the_usual_order_costs_no_more_than_the_page() -> None:
    reader = MemoryReader("workflow", many(200))
    found = page([reader], order="updated", limit=3)
    assert (reader.asked, found.is_truncated, found.next_cursor) == (4, True, None)
