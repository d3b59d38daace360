"""Rows of usage reports, and their totals."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from chatstore_cli.domain.usage import UsageRow
from chatstore_cli.render.listing import Column, Row, count
from chatstore_cli.render.rows.sessions import decimal_text, known_count, status_style, usage_row

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
_EXACT = Context(prec=400)


def amount(cost: Decimal | None, digits: int | None) -> str | None:
    """A cost as text. With `digits` it has exactly as many after the point; a half is rounded to the even digit."""
    if cost is None or digits is None:
        return decimal_text(cost)
    return f"{cost.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_EVEN, context=_EXACT):f}"


def usage_report_row(row: UsageRow, digits: int | None = None) -> dict[str, Any]:
    """One group: its keys, then the numbers of `usage_totals_row`, `sessions_from_counters` and `source`.

    `source` is `ledger`, `counters` or `both`.
    """
    counters = {"sessions_from_counters": row.sessions_from_counters, "source": row.source}
    return {**row.group, **usage_totals_row(row, digits), **counters}


def usage_sources_row(row: UsageRow) -> dict[str, Any]:
    """How many sessions count from the usage ledger, and how many with their stored totals."""
    return {"ledger": row.sessions - row.sessions_from_counters, "counters": row.sessions_from_counters}


def usage_totals_row(row: UsageRow, digits: int | None = None) -> dict[str, Any]:
    """The totals, without a group: `{sessions, usage, cost_complete, cost_unknown_sessions}`.

    A report that calculates costs has `cost_source`, `cost_upper_bound`, `stored_cost` and `cost_difference` too.
    """
    numbers = usage_row(row.usage)
    del numbers["cost"]
    numbers |= {
        "cached_tokens": row.details.cached_tokens,
        "reasoning_tokens": row.details.reasoning_tokens,
        "cost": amount(row.usage.cost, digits),
    }
    known = {"cost_complete": row.cost_is_complete, "cost_unknown_sessions": row.cost_unknown_sessions}
    totals = {"sessions": row.sessions, "usage": numbers, **known}
    if row.pricing is None:
        return totals
    return {
        **totals,
        "cost_source": row.pricing.source,
        "cost_upper_bound": row.pricing.is_upper_bound,
        "stored_cost": amount(row.pricing.stored, digits),
        "cost_difference": amount(row.pricing.difference, digits),
    }


def usage_footer(row: UsageRow, digits: int | None = None) -> dict[str, Any]:
    """The totals as the last row of a table."""
    names = dict.fromkeys(row.group, "")
    return {**usage_report_row(row, digits), **names, next(iter(names)): _TOTAL}


def usage_columns(totals: UsageRow, zone: str = "UTC", *, with_source: bool = False) -> list[Column]:
    """The columns of a report with these totals. Tables show the source of the numbers only `with_source`.

    They show cached and reasoning tokens only if some are known. On a narrow terminal figures are left out before the keys
    are cut.
    """
    priced = totals.pricing is not None
    details = totals.details
    return [
        *(_group_column(key, zone) for key in totals.group),
        Column("sessions", "SESSIONS", align="right", show=count, spare=2),
        Column("usage.prompt_tokens", "PROMPT", align="right", show=known_count, spare=3),
        Column("usage.completion_tokens", "COMPLETION", align="right", show=known_count, spare=3),
        Column("usage.total_tokens", "TOKENS", align="right", show=known_count, spare=1),
        Column(
            "usage.cached_tokens", "CACHED", align="right", show=known_count, spare=7,
            in_table=details.cached_tokens is not None,
        ),
        Column(
            "usage.reasoning_tokens", "REASONING", align="right", show=known_count, spare=7,
            in_table=details.reasoning_tokens is not None,
        ),
        Column("usage.cost", "COST", align="right", show_row=_cost),
        Column("cost_complete", "COST COMPLETE", in_table=False),
        *(_priced_columns() if priced else ()),
        Column("cost_unknown_sessions", "COST UNKNOWN", align="right", show=count, spare=4, in_table=not priced),
        Column("sessions_from_counters", "FROM COUNTERS", align="right", show=count, in_table=with_source, spare=5),
        Column("source", "SOURCE", in_table=with_source, spare=6),
    ]  # fmt: skip


def _priced_columns() -> list[Column]:
    return [
        Column("stored_cost", "STORED COST", align="right", show=_or_dash, spare=2),
        Column("cost_difference", "DIFFERENCE", align="right", show=_difference, spare=2),
        Column("cost_source", "COST FROM", show=_or_dash, spare=4),
        Column("cost_upper_bound", "UPPER BOUND", in_table=False),
    ]


def _group_column(key: str, zone: str) -> Column:
    return Column(
        key,
        _TITLES[key].format(zone=zone),
        show=key_words,
        style=status_style if key == "status" else None,
        whole=key in ("day", "week", "month", "session_id", "status"),
        spare=7 if key == "layout" else 0,
        narrowest=12,
    )


def key_words(value: Any) -> str:
    """The key of a group; `(none)` for the sessions that have none."""
    return "(none)" if value is None else str(value)


def _or_dash(value: Any) -> str:
    return "-" if value is None else str(value)


def _difference(value: Any) -> str:
    """A difference with its sign; `-` if nothing could be compared."""
    return "-" if value is None else value if str(value).startswith("-") else f"+{value}"


def _cost(row: Row) -> str:
    """`unknown` if the whole cost is unknown; `-` if no session can have a cost."""
    cost, unknown = row["usage"]["cost"], not row["cost_complete"]
    if cost is None:
        return "unknown" if unknown else "-"
    text = f"at most {cost}" if row.get("cost_upper_bound") else str(cost)
    return f"{text} + unknown" if unknown else text


# --- bars ------------------------------------------------------------------------------------------------------------

_WIDTH = 20


def bars(rows: Sequence[UsageRow], *, by_cost: bool) -> list[str]:
    """A bar for the cost or the tokens of each row, the longest for the largest number. A `+` marks an unknown part."""
    numbers = [_number(row, by_cost=by_cost) for row in rows]
    largest = max(numbers, default=Decimal())
    lengths = (max(1, round(number / largest * _WIDTH)) if number else 0 for number in numbers)
    return [
        "#" * length + ("+" if by_cost and not row.cost_is_complete else "")
        for length, row in zip(lengths, rows, strict=True)
    ]


def bar_column(*, by_cost: bool) -> Column:
    """The column of `bar`."""
    return Column("bar", f"{'COST' if by_cost else 'TOKENS'} BAR", whole=True, spare=1)


def _number(row: UsageRow, *, by_cost: bool) -> Decimal:
    return (row.usage.cost or Decimal()) if by_cost else Decimal(row.usage.total_tokens or 0)
