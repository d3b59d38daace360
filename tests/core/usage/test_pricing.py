"""Calculated costs: the price of the day, exact sums, and what is not known is never 0."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from chatstore_cli.core.usage.budget import check_budget
from chatstore_cli.core.usage.groupings import UsageGrouping, UsageOrder
from chatstore_cli.core.usage.pricing import CostMode, Pricing
from chatstore_cli.core.usage.report import report_usage
from chatstore_cli.domain.prices import CostIsStored, Price, UsageToPrice
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.domain.usage import TokenDetails, Usage, UsageRow
from chatstore_cli.domain.usage_ledger import LedgerGroup, LedgerQuery
from tests.core.usage.test_report import Facts, session

OCTOBER = date(2026, 10, 1)


def price(per_input: str, per_output: str, cached: str | None = None, **dates: Any) -> Price:
    amount = None if cached is None else Decimal(cached)
    return Price(Decimal(per_input), Decimal(per_output), amount, "USD", "a list", "listed", **dates)


class Prices:
    """A table with one model whose price changes on October 20, and one whose price has a note."""

    def prices(self, model: str) -> Sequence[Price]:
        return {
            "m-1": (
                price("1", "2", "0.1", until=date(2026, 10, 19)),
                price("10", "20", "1", since=date(2026, 10, 20)),
            ),
            "noted": (price("1", "1"),),
        }.get(model, ())

    def describe(self) -> str:
        return "a list"


class Ledger:
    """Sums of a ledger, as they are given."""

    def __init__(self, *parts: UsageToPrice) -> None:
        self._parts = parts

    def is_used(self) -> bool:
        return True

    def groups(self, query: LedgerQuery) -> Iterator[LedgerGroup]:
        for part in self._parts:
            unknown = part.stored is CostIsStored.NO
            yield LedgerGroup(part.group, part.usage, 1, 1, unknown, unknown, part.details)

    def to_price(self, query: LedgerQuery) -> Iterator[UsageToPrice]:
        return iter(self._parts)

    def chats_with_usage(self, chat_ids: Sequence[str], layout: str) -> set[str]:
        return set()

    def uncountable(self) -> int:
        return 0

    def with_invalid_cost(self) -> int:
        return 0


def part(
    tenant: str,
    cost: str | None,
    *,
    day: date | None = OCTOBER,
    model: str | None = "m-1",
    cached: int | None = 0,
    **facts: Any,
) -> UsageToPrice:
    """A million tokens of the prompt and half a million of the completion."""
    usage = Usage(1_000_000, 500_000, 1_500_000, None if cost is None else Decimal(cost))
    stored = CostIsStored.NO if cost is None else CostIsStored.YES
    known = {"usage": usage, "stored": stored, "cached_is_unknown": cached is None} | facts
    return UsageToPrice((tenant,), model, day, details=TokenDetails(cached), **known)


def report(mode: CostMode, *parts: UsageToPrice, sessions: Sequence[Any] = (), **options: Any) -> tuple[Any, Pricing]:
    pricing = Pricing(mode, Prices())
    readers: Any = [Facts(*sessions)]
    made = report_usage(
        readers, SessionQuery(), UsageGrouping.TENANT, ledger=Ledger(*parts), pricing=pricing, **options
    )
    return made, pricing


def costs(report: Any) -> dict[str | None, Any]:
    return {
        row.group["tenant_id"]: (row.usage.cost, row.pricing.stored, row.pricing.difference, row.pricing.source)
        for row in report.rows
    }


def test_each_day_has_its_own_price() -> None:
    days = [date(2026, 10, 19), date(2026, 10, 20), date(2030, 1, 1)]
    made, _ = report(CostMode.CALCULATE, *(part("a", None, day=day) for day in days))

    assert made.totals.usage.cost == 1 + 1 + 2 * (10 + 10)
    assert made.totals.cost_is_complete


def test_cached_tokens_have_their_price_and_unknown_ones_make_an_upper_bound() -> None:
    made, _ = report(
        CostMode.CALCULATE, part("a", None, cached=400_000), part("b", None, cached=None), part("c", None, cached=9**9)
    )

    rows = {row.group["tenant_id"]: (row.usage.cost, row.pricing.is_upper_bound) for row in made.rows}
    assert rows == {"a": (Decimal("1.64"), False), "b": (Decimal(2), True), "c": (Decimal("1.1"), False)}
    assert made.totals.pricing.is_upper_bound
    no_cached_price, _ = report(CostMode.CALCULATE, part("a", None, cached=None, model="noted"))
    assert not no_cached_price.totals.pricing.is_upper_bound


def test_calculate_ignores_stored_costs_and_shows_the_difference_where_both_are_known() -> None:
    made, _ = report(
        CostMode.CALCULATE, part("a", "1.5"), part("a", None), part("b", "7", model="unknown"), part("c", "2.5")
    )

    assert costs(made) == {
        "a": (Decimal(4), Decimal("1.5"), Decimal("0.5"), "calculated"),
        "b": (None, Decimal(7), None, None),
        "c": (Decimal(2), Decimal("2.5"), Decimal("-0.5"), "calculated"),
    }
    assert (made.totals.pricing.stored, made.totals.pricing.difference) == (Decimal(11), Decimal(0))
    assert not made.totals.cost_is_complete


def test_auto_takes_stored_costs_and_calculates_the_others() -> None:
    made, pricing = report(
        CostMode.AUTO,
        part("a", "1.5"),
        part("a", None),
        part("b", "7", model="unknown"),
        part("c", None, model="unknown"),
    )

    assert costs(made) == {
        "a": (Decimal("3.5"), Decimal("1.5"), Decimal("0.5"), "both"),
        "b": (Decimal(7), Decimal(7), None, "stored"),
        "c": (None, None, None, None),
    }
    assert {row.group["tenant_id"]: row.cost_is_complete for row in made.rows} == {"a": True, "b": True, "c": False}
    [missing] = pricing.missing_prices()
    assert (missing.model, missing.source, missing.tokens) == ("unknown", "ledger", 1_500_000)


def test_turns_that_daily_sums_of_an_earlier_version_mixed_are_named_and_not_complete() -> None:
    made, _ = report(CostMode.AUTO, part("a", "1.5", stored=CostIsStored.PARTLY))

    assert (made.totals.usage.cost, made.totals.cost_is_complete) == (Decimal("1.5"), False)
    assert any("chatstore usage rollup --rebuild" in note for note in made.notes)
    calculated, _ = report(CostMode.CALCULATE, part("a", "1.5", stored=CostIsStored.PARTLY))
    assert (calculated.totals.usage.cost, calculated.totals.cost_is_complete) == (Decimal(2), True)


@pytest.mark.parametrize(("mode", "cost"), [(CostMode.AUTO, Decimal("0.25")), (CostMode.CALCULATE, None)])
def test_stored_totals_have_no_model_so_no_price(mode: CostMode, cost: Decimal | None) -> None:
    sessions = [session("a", 100, "0.25", tenant_id="a"), session("b", 0, tenant_id="b")]
    made, pricing = report(mode, sessions=sessions)

    assert {row.group["tenant_id"]: row.usage.cost for row in made.rows} == {"a": cost, "b": None}
    assert made.totals.cost_is_complete is (cost is not None)
    assert [(each.source, each.tokens) for each in pricing.missing_prices()] == ([] if cost else [("counters", 100)])


def test_usage_without_model_or_time_or_tokens_is_told_apart() -> None:
    nothing = Usage(0, 0, 0, None)
    made, pricing = report(
        CostMode.CALCULATE,
        part("a", None, model=None), part("b", None, day=None), part("c", None, model=None, usage=nothing),
    )  # fmt: skip

    assert {row.group["tenant_id"]: row.cost_is_complete for row in made.rows} == {"a": False, "b": False, "c": True}
    assert {each.model for each in pricing.missing_prices()} == {None, "m-1"}


def test_groups_are_sorted_by_the_calculated_cost() -> None:
    parts = [part("cheap", "99"), part("dear", "1", day=date(2026, 10, 20))]
    made, _ = report(CostMode.CALCULATE, *parts, order=UsageOrder.COST, top=1)

    assert [row.group["tenant_id"] for row in made.rows] == ["dear"]
    assert [row.group["tenant_id"] for row in made.left_out] == ["cheap"]


def test_no_sum_of_calculated_costs_is_rounded() -> None:
    tiny = part("a", None, usage=Usage(1, 1, 2, None))
    large = part("a", None, day=date(2026, 10, 20), usage=Usage(10**12, 10**12, 2 * 10**12, None))
    made, _ = report(CostMode.CALCULATE, *[tiny] * 3, large)

    assert made.totals.usage.cost == Decimal("30000000.000009")


def test_a_budget_names_groups_over_it_and_those_that_may_be() -> None:
    def row(name: str, cost: str | None, unknown: int = 0) -> UsageRow:
        [made] = report_usage(
            [Facts(*(session(f"{name}{number}", 5, cost if not number else None, tenant_id=name) for number in range(unknown + 1)))],
            SessionQuery(), UsageGrouping.TENANT,
        ).rows  # fmt: skip
        return made

    rows = [row("at", "200"), row("over", "200.01"), row("far", "250", 1), row("maybe", "3", 1), row("unknown", None)]
    check = check_budget(rows, Decimal(200))

    assert [(each.row.group["tenant_id"], each.over_by) for each in check.over] == [
        ("far", 50),
        ("over", Decimal("0.01")),
    ]
    assert [each.group["tenant_id"] for each in check.unknown] == ["maybe", "unknown"]


def test_notes_are_bounded_whatever_models_another_writer_stored() -> None:
    made, _ = report(CostMode.CALCULATE, *(part("a", None, model=f"{number}" + "x" * 5_000) for number in range(50)))

    assert max(map(len, made.notes)) < 250
    assert len(made.notes) < 30
    assert "30 more notes about models. -o json has all of them." in made.notes
