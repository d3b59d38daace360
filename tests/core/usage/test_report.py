"""Adding up usage: exact, sorted, and never 0 for what nobody knows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from chatstore_cli.core.usage.report import UsageGrouping, UsageOrder, report_usage, what_counts
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.domain.session import Session, SessionStatus
from chatstore_cli.domain.usage import Usage, UsageRow


class Facts:
    """A reader that has nothing but facts."""

    def __init__(self, *sessions: Session, layout: str = "workflow", lacking: tuple[str, ...] = ()) -> None:
        self.layout = layout
        self._sessions = sessions
        self._lacking = lacking

    def unanswerable(self, query: SessionQuery) -> list[str]:
        return list(self._lacking) if query.tenant_id else []

    def all_facts(self, query: SessionQuery) -> Iterator[Session]:
        return (session for session in self._sessions if query.matches(session))


def session(name: str, tokens: int = 0, cost: str | None = None, **facts: Any) -> Session:
    usage = Usage(tokens // 2, tokens - tokens // 2, tokens, None if cost is None else Decimal(cost))
    return Session(name, "workflow", usage=usage, **facts)


def report(*sessions: Session, by: UsageGrouping = UsageGrouping.TENANT) -> list[UsageRow]:
    return report_usage([Facts(*sessions)], SessionQuery(), by).rows  # type: ignore[list-item]  # facts are all it reads


def test_tenants_come_by_tokens_most_first_and_the_nameless_one_among_them() -> None:
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
        usage = Usage(prompt, completion, prompt + completion, None if cost is None else Decimal(cost))
        return Session(f"{tenant}{prompt}{cost}", "workflow", tenant_id=tenant, usage=usage)

    sessions = [
        of_tenant("d", 2, 10, "7"),
        of_tenant("c", 9, 1, "0"),
        of_tenant("b", 5, 20, None),
        of_tenant("a", 1, 2, "0.5"),
        of_tenant("a", 1, 2, None),
    ]
    rows = report_usage([Facts(*sessions)], SessionQuery(), UsageGrouping.TENANT, order=order).rows  # type: ignore[list-item]  # facts are all it reads

    assert "".join(str(row.group["tenant_id"]) for row in rows) == tenants


def test_days_come_in_order_and_those_without_a_day_last() -> None:
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
def test_each_grouping_has_row_keys_of_its_own(by: UsageGrouping, group: dict[str, str]) -> None:
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


def test_costs_are_added_exactly_however_many_digits_they_have() -> None:
    """The default precision of decimals, 28 digits, would round this sum in silence."""
    [row] = report(session("a", 1, "10000000000000000000.1"), session("b", 1, "0.00000000000000000000000000000001"))

    assert row.usage.cost == Decimal("10000000000000000000.10000000000000000000000000000001")


def test_ten_dimes_are_one() -> None:
    [row] = report(*(session(str(index), 1, "0.1") for index in range(10)))

    assert row.usage.cost == Decimal("1.0")


def test_a_known_sum_stands_beside_the_number_of_unknown_costs() -> None:
    [row] = report(session("a", 10, "0.5"), session("b", 20), session("c", 30))

    assert (row.usage.cost, row.cost_unknown_sessions, row.usage.total_tokens) == (Decimal("0.5"), 2, 60)


def test_a_cost_of_zero_is_known_and_one_that_is_no_number_is_not() -> None:
    rows = report(
        session("free", 10, "0", tenant_id="free"),
        session("unknown", 10, tenant_id="unknown"),
        session("broken", 10, "NaN", tenant_id="broken"),
        by=UsageGrouping.TENANT,
    )

    assert {row.group["tenant_id"]: (row.usage.cost, row.cost_unknown_sessions) for row in rows} == {
        "free": (Decimal(0), 0),
        "unknown": (None, 1),
        "broken": (None, 1),
    }


def test_a_session_without_any_usage_is_counted_but_its_cost_is_not_called_unknown() -> None:
    [row] = report(session("flat"))

    assert (row.sessions, row.usage.cost, row.cost_unknown_sessions) == (1, None, 0)


def test_totals_are_those_of_all_rows() -> None:
    sessions = [session(str(index), index, "0.01", tenant_id=str(index % 3)) for index in range(9)]
    made = report_usage([Facts(*sessions[:4]), Facts(*sessions[4:])], SessionQuery(), UsageGrouping.TENANT)  # type: ignore[list-item]  # facts are all it reads

    assert (made.totals.sessions, made.totals.usage.total_tokens, made.totals.usage.cost) == (9, 36, Decimal("0.09"))
    assert sum(row.usage.total_tokens for row in made.rows) == 36


SESSIONS = [session("a", 5, updated_at=datetime(2026, 3, 1, tzinfo=UTC)), session("b", 5)]
THIS_YEAR = SessionQuery(since=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("query", "by", "said"),
    [
        (SessionQuery(), UsageGrouping.TENANT, []),
        (
            SessionQuery(),
            UsageGrouping.DAY,
            ["A session counts on the day it was last updated (UTC), with all it ever used."],
        ),
        (
            THIS_YEAR,
            UsageGrouping.TENANT,
            ["A session counts on the day it was last updated (UTC), with all it ever used."],
        ),
        (SessionQuery(tenant_id="nobody"), UsageGrouping.DAY, []),
    ],
)
def test_when_a_session_counts_is_said_only_where_a_time_matters(
    query: SessionQuery, by: UsageGrouping, said: list[str]
) -> None:
    assert report_usage([Facts(*SESSIONS)], query, by).notes == said  # type: ignore[list-item]  # facts are all it reads


@pytest.mark.parametrize(
    ("sessions", "counters", "is_in_time", "said"),
    [
        (3, 0, False, None),
        (3, 0, True, "Usage in the ledger counts on the day it was reported (Europe/Berlin)."),
        (3, 1, False, "Usage is what the ledger has; 1 session without any there counts with its own counters."),
        (3, 2, False, "Usage is what the ledger has; 2 sessions without any there count with their own counters."),
        (
            3, 2, True,
            "Usage in the ledger counts on the day it was reported (Europe/Berlin); 2 sessions without any there count on "
            "the day of their last update, with all they ever used.",
        ),
    ],
)  # fmt: skip
def test_one_sentence_says_what_counts_where_the_ledger_is_used(
    sessions: int, counters: int, is_in_time: bool, said: str | None
) -> None:
    totals = UsageRow({}, sessions, Usage(), 0, counters)

    assert what_counts(totals, ZoneInfo("Europe/Berlin"), is_in_time=is_in_time) == ([] if said is None else [said])


def test_a_layout_without_the_filter_is_left_out_and_named() -> None:
    flat = Facts(session("flat"), layout="messages", lacking=("tenant",))
    made = report_usage(
        [Facts(session("a", 1, tenant_id="t")), flat], SessionQuery(tenant_id="t"), UsageGrouping.TENANT
    )  # type: ignore[list-item]  # facts are all it reads

    assert (made.totals.sessions, made.notes) == (1, ["messages: has no tenant; its sessions are left out."])
