"""Usage reports: sums are exact, groups are sorted, and an unknown cost is never 0."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from chatstore_cli.core.usage.groupings import UsageGrouping, UsageOrder
from chatstore_cli.core.usage.report import report_usage, source_notes
from chatstore_cli.core.usage.reported import valid_cost
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.domain.session import Session, SessionStatus
from chatstore_cli.domain.usage import UNKNOWN_USAGE, KnownUsage, UsageRow


class Facts:
    """A session reader with facts only."""

    def __init__(self, *sessions: Session, layout: str = "workflow", missing_filters: tuple[str, ...] = ()) -> None:
        self.layout = layout
        self._sessions = sessions
        self._missing_filters = missing_filters

    def unanswerable(self, query: SessionQuery) -> list[str]:
        return list(self._missing_filters) if query.tenant_id else []

    def all_facts(self, query: SessionQuery) -> Iterator[Session]:
        return (session for session in self._sessions if query.matches(session))


def session(name: str, tokens: int = 0, cost: str | None = None, **facts: Any) -> Session:
    usage = KnownUsage(tokens // 2, tokens - tokens // 2, tokens, None if cost is None else Decimal(cost))
    return Session(name, "workflow", usage=usage, **facts)


def report(*sessions: Session, by: UsageGrouping = UsageGrouping.TENANT) -> list[UsageRow]:
    return report_usage([Facts(*sessions)], SessionQuery(), by).rows


def test_tenants_are_sorted_by_tokens_and_so_is_the_group_without_a_tenant() -> None:
    rows = report(session("a", 5, tenant_id="small"), session("b", 50, tenant_id="large"), session("c", 20))

    assert [row.group["tenant_id"] for row in rows] == ["large", None, "small"]


def test_of_groups_with_equal_tokens_the_one_with_more_sessions_comes_first_then_the_first_name() -> None:
    sessions = [session("a", 10, tenant_id="a"), session("x", 5, tenant_id="z"), session("y", 5, tenant_id="z")]
    rows = report(session("b", 10, tenant_id="b"), *sessions)

    assert [row.group["tenant_id"] for row in rows] == ["z", "a", "b"]


@pytest.mark.parametrize(
    ("order", "tenants"),
    [
        (UsageOrder.NAME, "abcd"),
        (UsageOrder.TOKENS, "bdca"),
        (UsageOrder.PROMPT, "cbda"),
        (UsageOrder.COMPLETION, "bdac"),
        (UsageOrder.COST, "dacb"),
        (UsageOrder.SESSIONS, "abdc"),
    ],
)
def test_each_order_sorts_by_its_own_number_and_ties_by_tokens(order: UsageOrder, tenants: str) -> None:
    def of_tenant(tenant: str, prompt: int, completion: int, cost: str | None) -> Session:
        usage = KnownUsage(prompt, completion, prompt + completion, None if cost is None else Decimal(cost))
        return Session(f"{tenant}{prompt}{cost}", "workflow", tenant_id=tenant, usage=usage)

    sessions = [
        of_tenant("d", 2, 10, "7"),
        of_tenant("c", 9, 1, "0"),
        of_tenant("b", 5, 20, None),
        of_tenant("a", 1, 2, "0.5"),
        of_tenant("a", 1, 2, None),
    ]
    rows = report_usage([Facts(*sessions)], SessionQuery(), UsageGrouping.TENANT, order=order).rows

    assert "".join(str(row.group["tenant_id"]) for row in rows) == tenants


def test_days_are_ascending_and_sessions_without_a_day_come_last() -> None:
    days = [datetime(2026, 3, day, 23, 59, tzinfo=UTC) for day in (3, 1, 2)]
    rows = report(*(session(str(day), 5, updated_at=day) for day in days), session("never", 5), by=UsageGrouping.DAY)

    assert [row.group for row in rows] == [{"day": f"2026-03-0{day}"} for day in (1, 2, 3)] + [{"day": None}]


@pytest.mark.parametrize(
    ("by", "group"),
    [
        (UsageGrouping.TENANT, {"tenant_id": "acme"}),
        (UsageGrouping.USER, {"user_id": "ada"}),
        (UsageGrouping.WORKFLOW, {"workflow": "triage"}),
        (UsageGrouping.STATUS, {"status": "failed"}),
        (UsageGrouping.MONTH, {"month": "2026-03"}),
        (UsageGrouping.SESSION, {"session_id": "a", "layout": "workflow"}),
    ],
)
def test_each_grouping_has_its_own_row_keys(by: UsageGrouping, group: dict[str, str]) -> None:
    [row] = report(
        session(
            "a",
            5,
            tenant_id="acme",
            user_id="ada",
            workflow="triage",
            status=SessionStatus.FAILED,
            updated_at=datetime(2026, 3, 31, tzinfo=UTC),
        ),
        by=by,
    )

    assert row.group == group


def test_costs_of_any_number_of_digits_are_added_exactly() -> None:
    """The default precision of decimals, 28 digits, would round this sum without notice."""
    [row] = report(session("a", 1, "10000000000000000000.1"), session("b", 1, "0.00000000000000000000000000000001"))

    assert row.usage.cost == Decimal("10000000000000000000.10000000000000000000000000000001")


def test_ten_costs_of_a_tenth_are_one() -> None:
    [row] = report(*(session(str(index), 1, "0.1") for index in range(10)))

    assert row.usage.cost == Decimal("1.0")


def test_a_row_has_the_sum_of_known_costs_and_the_number_of_unknown_ones() -> None:
    [row] = report(session("a", 10, "0.5"), session("b", 20), session("c", 30))

    assert (row.usage.cost, row.cost_unknown_sessions, row.usage.total_tokens) == (Decimal("0.5"), 2, 60)


def test_a_cost_of_zero_is_known() -> None:
    rows = report(
        session("free", 10, "0", tenant_id="free"),
        session("unknown", 10, tenant_id="unknown"),
        by=UsageGrouping.TENANT,
    )

    assert {row.group["tenant_id"]: (row.usage.cost, row.cost_unknown_sessions) for row in rows} == {
        "free": (Decimal(0), 0),
        "unknown": (None, 1),
    }


def unknown(name: str, **facts: Any) -> Session:
    return Session(name, "workflow", usage=UNKNOWN_USAGE, **facts)


def test_a_session_of_a_layout_without_usage_is_counted_and_its_cost_is_not_unknown() -> None:
    [row] = report(Session("flat", "messages"))

    assert (row.sessions, row.usage, row.cost_unknown_sessions) == (1, UNKNOWN_USAGE, 0)


def test_a_session_with_unknown_usage_adds_nothing_and_its_cost_is_unknown() -> None:
    rows = report(unknown("a"), unknown("b", tenant_id="t"), session("c", 10, "1", tenant_id="t"))

    assert [(row.usage, row.cost_unknown_sessions) for row in rows] == [
        (KnownUsage(5, 5, 10, Decimal(1)), 1),
        (UNKNOWN_USAGE, 1),
    ]


def test_a_known_cost_counts_if_the_tokens_are_unknown() -> None:
    [row] = report(Session("a", "workflow", usage=KnownUsage(cost=Decimal("0.5"))))

    assert (row.usage, row.cost_unknown_sessions) == (KnownUsage(cost=Decimal("0.5")), 0)


def test_of_no_tokens_no_cost_is_unknown() -> None:
    [row] = report(session("a", 0))

    assert (row.usage, row.cost_unknown_sessions) == (KnownUsage(0, 0, 0), 0)


def test_invalid_numbers_are_reported_once_with_the_first_field() -> None:
    invalid = [unknown(name, invalid_numbers=(f"token_usage.{name}", "token_usage.cost")) for name in "ab"]
    notes = [report_usage([Facts(*invalid[:some])], SessionQuery(), UsageGrouping.TENANT).notes for some in (1, 2)]

    assert notes == [
        ["1 session has an invalid number, which counts as unknown: token_usage.a of session 'a'."],
        ["2 sessions have invalid numbers, which count as unknown. The first one is token_usage.a of session 'a'."],
    ]


def test_totals_are_the_sums_of_all_rows() -> None:
    sessions = [session(str(index), index, "0.01", tenant_id=str(index % 3)) for index in range(9)]
    usage_report = report_usage([Facts(*sessions[:4]), Facts(*sessions[4:])], SessionQuery(), UsageGrouping.TENANT)

    assert (usage_report.totals.sessions, usage_report.totals.usage.total_tokens, usage_report.totals.usage.cost) == (
        9,
        36,
        Decimal("0.09"),
    )
    assert sum(row.usage.total_tokens or 0 for row in usage_report.rows) == 36


SESSIONS = [session("a", 5, updated_at=datetime(2026, 3, 1, tzinfo=UTC)), session("b", 5)]
THIS_YEAR = SessionQuery(since=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("query", "by", "notes"),
    [
        (SessionQuery(), UsageGrouping.TENANT, []),
        (
            SessionQuery(),
            UsageGrouping.DAY,
            ["The stored totals of a session count on the day of its last update (UTC)."],
        ),
        (
            THIS_YEAR,
            UsageGrouping.TENANT,
            ["The stored totals of a session count on the day of its last update (UTC)."],
        ),
        (SessionQuery(tenant_id="nobody"), UsageGrouping.DAY, []),
    ],
)
def test_a_note_explains_when_usage_counts_only_if_the_report_is_about_a_time(
    query: SessionQuery, by: UsageGrouping, notes: list[str]
) -> None:
    assert report_usage([Facts(*SESSIONS)], query, by).notes == notes


@pytest.mark.parametrize(
    ("sessions", "counters", "is_in_time", "note"),
    [
        (3, 0, False, None),
        (3, 0, True, "Usage counts on the day it was reported (Europe/Berlin)."),
        (3, 1, False, "1 of 3 sessions has no ledger entries; its stored totals are used instead."),
        (3, 2, False, "2 of 3 sessions have no ledger entries; their stored totals are used instead."),
        (
            3, 2, True,
            "Usage counts on the day it was reported (Europe/Berlin). 2 of 3 sessions have no ledger entries; their stored "
            "totals count on the day of their last update.",
        ),
    ],
)  # fmt: skip
def test_a_note_has_the_number_of_sessions_without_ledger_entries(
    sessions: int, counters: int, is_in_time: bool, note: str | None
) -> None:
    totals = UsageRow({}, sessions, KnownUsage(), 0, counters)

    assert source_notes(totals, ZoneInfo("Europe/Berlin"), is_in_time=is_in_time) == ([] if note is None else [note])


def test_a_layout_that_cannot_answer_a_filter_is_left_out_with_a_note() -> None:
    flat = Facts(session("flat"), layout="messages", missing_filters=("tenant",))
    usage_report = report_usage(
        [Facts(session("a", 1, tenant_id="t")), flat], SessionQuery(tenant_id="t"), UsageGrouping.TENANT
    )

    assert (usage_report.totals.sessions, usage_report.notes) == (
        1,
        ["The layout messages has no tenant, so its sessions are left out."],
    )


def test_a_client_that_adds_doubles_up_costs_what_was_meant() -> None:
    assert valid_cost(0.1 + 0.2) == Decimal("0.3")
    assert valid_cost(Decimal("0.30000000000000004")) == Decimal("0.30000000000000004")
