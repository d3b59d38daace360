"""Usage of groups of sessions as rows, with their totals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chatstore_cli.domain.usage import UsageRow
from chatstore_cli.render.listing import Column, Row, count
from chatstore_cli.render.rows import carries_usage, money, status_style, usage_row

_TITLES = {
    "tenant_id": "TENANT",
    "user_id": "USER",
    "workflow": "WORKFLOW",
    "status": "STATUS",
    "day": "DAY (UTC)",
    "month": "MONTH (UTC)",
    "session_id": "SESSION",
    "layout": "LAYOUT",
}
_TOTAL = "TOTAL"


def usage_report_row(row: UsageRow) -> dict[str, Any]:
    """One group: what it is a group by, then `{sessions, usage, cost_unknown_sessions}`."""
    return {**row.group, **usage_totals_row(row)}


def usage_totals_row(row: UsageRow) -> dict[str, Any]:
    """The totals, without a group."""
    return {
        "sessions": row.sessions,
        "usage": usage_row(row.usage),
        "cost_unknown_sessions": row.cost_unknown_sessions,
    }


def usage_footer(row: UsageRow) -> dict[str, Any]:
    """The totals as the last row of a table."""
    names = dict.fromkeys(row.group, "")
    return {**names, next(iter(names)): _TOTAL, **usage_totals_row(row)}


def usage_columns(group_keys: Sequence[str]) -> list[Column]:
    """The columns of a report by these keys."""
    groups = [
        Column(key, _TITLES[key], show=_group_name, style=status_style if key == "status" else None)
        for key in group_keys
    ]
    return [
        *groups,
        Column("sessions", "SESSIONS", align="right", show=count),
        Column("usage.prompt_tokens", "PROMPT", align="right", show=count, spare=1),
        Column("usage.completion_tokens", "COMPLETION", align="right", show=count, spare=1),
        Column("usage.total_tokens", "TOKENS", align="right", show=count),
        Column("usage.cost", "COST", align="right", show_row=_cost),
        Column("cost_unknown_sessions", "COST UNKNOWN", align="right", show=count),
    ]


def _group_name(value: Any) -> str:
    return "(none)" if value is None else str(value)


def _cost(row: Row) -> str:
    """`unknown` where sessions used tokens and nobody stored a cost; `-` where there is no usage at all."""
    if not carries_usage(row):
        return "-"
    cost = row["usage"]["cost"]
    return f"{cost} + unknown" if cost is not None and row["cost_unknown_sessions"] else money(cost)
