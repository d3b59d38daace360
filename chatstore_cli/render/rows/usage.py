"""Rows of usage reports, and their totals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chatstore_cli.domain.usage import UsageRow
from chatstore_cli.render.listing import Column, Row, count
from chatstore_cli.render.rows.sessions import known_count, status_style, usage_row

_TITLES = {
    "tenant_id": "TENANT",
    "user_id": "USER",
    "workflow": "WORKFLOW",
    "agent": "AGENT",
    "model": "MODEL",
    "status": "STATUS",
    "day": "DAY ({zone})",
    "week": "WEEK ({zone})",
    "month": "MONTH ({zone})",
    "session_id": "SESSION",
    "layout": "LAYOUT",
}
_TOTAL = "TOTAL"


def usage_report_row(row: UsageRow) -> dict[str, Any]:
    """One group: its keys, then `{sessions, usage, cost_unknown_sessions, sessions_from_counters, source}`.

    `source` is `ledger`, `counters` or `both`.
    """
    counters = {"sessions_from_counters": row.sessions_from_counters, "source": row.source}
    return {**row.group, **usage_totals_row(row), **counters}


def usage_sources_row(row: UsageRow) -> dict[str, Any]:
    """How many sessions count from the usage ledger, and how many with their stored totals."""
    return {"ledger": row.sessions - row.sessions_from_counters, "counters": row.sessions_from_counters}


def usage_totals_row(row: UsageRow) -> dict[str, Any]:
    """The totals, without a group."""
    return {"sessions": row.sessions, "usage": usage_row(row.usage), "cost_unknown_sessions": row.cost_unknown_sessions}


def usage_footer(row: UsageRow) -> dict[str, Any]:
    """The totals as the last row of a table."""
    names = dict.fromkeys(row.group, "")
    return {**usage_report_row(row), **names, next(iter(names)): _TOTAL}


def usage_columns(group_keys: Sequence[str], zone: str = "UTC", *, with_source: bool = False) -> list[Column]:
    """The columns of a report by these keys. Tables show the source of the numbers only `with_source`.

    On a narrow terminal figures are left out before the keys are cut.
    """
    return [
        *(_group_column(key, zone) for key in group_keys),
        Column("sessions", "SESSIONS", align="right", show=count, spare=2),
        Column("usage.prompt_tokens", "PROMPT", align="right", show=known_count, spare=3),
        Column("usage.completion_tokens", "COMPLETION", align="right", show=known_count, spare=3),
        Column("usage.total_tokens", "TOKENS", align="right", show=known_count, spare=1),
        Column("usage.cost", "COST", align="right", show_row=_cost),
        Column("cost_unknown_sessions", "COST UNKNOWN", align="right", show=count, spare=4),
        Column("sessions_from_counters", "FROM COUNTERS", align="right", show=count, in_table=with_source, spare=5),
        Column("source", "SOURCE", in_table=with_source, spare=6),
    ]


def _group_column(key: str, zone: str) -> Column:
    return Column(
        key,
        _TITLES[key].format(zone=zone),
        show=lambda value: "(none)" if value is None else str(value),
        style=status_style if key == "status" else None,
        whole=key in ("day", "week", "month", "session_id", "status"),
        spare=7 if key == "layout" else 0,
        narrowest=12,
    )


def _cost(row: Row) -> str:
    """`unknown` if the cost of sessions is unknown; `-` if no session can have a cost."""
    cost, unknown = row["usage"]["cost"], row["cost_unknown_sessions"]
    if cost is None:
        return "unknown" if unknown else "-"
    return f"{cost} + unknown" if unknown else str(cost)
