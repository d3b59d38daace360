"""Rows of the usage ledger's commands: explained rows, counters that differ, rollups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chatstore_cli.domain.times import rfc3339
from chatstore_cli.domain.usage_ledger import OPENING_RUN, CountingReason
from chatstore_cli.render.listing import Column, Row, count
from chatstore_cli.render.rows.sessions import decimal_text, money, usage_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chatstore_cli.domain.usage import Usage
    from chatstore_cli.domain.usage_exports import ExportedRow
    from chatstore_cli.domain.usage_ledger import LedgerRow


def counters_text(counters: Usage) -> str:
    """Counters in one phrase."""
    cost = money(decimal_text(counters.cost))
    return (
        f"{counters.total_tokens:,} tokens ({counters.prompt_tokens:,} prompt, "
        f"{counters.completion_tokens:,} completion), cost {cost}"
    )


def explained_row(row: LedgerRow, counted: bool, added: Usage, reason: str) -> dict[str, Any]:
    """A row of the ledger as reported, and the part of it that counts (`added`)."""
    report = row.snapshot
    reported = {**usage_row(report), "cached_tokens": report.cached_tokens, "reasoning_tokens": report.reasoning_tokens}
    return {
        "usage_id": row.row_id,
        "event_id": report.event_id,
        "turn_id": report.turn_id,
        "at": _time(row),
        "run": report.run,
        "agent": report.agent,
        "model": report.model,
        "reported": reported,
        "applied": row.applied,
        "counted": counted,
        "added": usage_row(added),
        "reason": reason,
    }


def exported_row(exported: ExportedRow) -> dict[str, Any]:
    """A row of the ledger for billing. `kind` is `turn`, `running_total` or `opening_balance`."""
    row = exported.row
    report = row.snapshot
    kind = "turn" if report.turn_id is not None else "running_total"
    return {
        "usage_id": row.row_id,
        "kind": "opening_balance" if report.run == OPENING_RUN else kind,
        "session_id": report.chat_id,
        "layout": exported.layout,
        "tenant_id": report.tenant_id,
        "user_id": report.user_id,
        "workflow": report.workflow,
        "run": report.run,
        "agent": report.agent,
        "model": report.model,
        "turn_id": report.turn_id,
        "event_id": report.event_id,
        "at": _time(row),
        "usage": usage_row(report),
        "cached_tokens": report.cached_tokens,
        "reasoning_tokens": report.reasoning_tokens,
        "duration_sec": report.seconds,
        "problem": row.problem,
    }


def _time(row: LedgerRow) -> str | None:
    at = row.snapshot.at
    return None if row.problem is not None and at.year == 1 else rfc3339(at)


def explained_footer(sums: Usage, rows: Sequence[Row]) -> dict[str, Any]:
    """The sums of the rows, as the last row of a table."""
    return {"at": "TOTAL", "added": usage_row(sums), "counted": None, "cost_unknown": _has_unknown_cost(rows)}


def _has_unknown_cost(rows: Sequence[Row]) -> bool:
    """Whether a client or a turn used tokens, and none of its rows has a cost."""
    has_cost: dict[tuple[Any, ...], bool] = {}
    for row in rows:
        if row["counted"] and row["reported"]["total_tokens"]:
            client = (row["run"], row["agent"], row["model"], row["turn_id"])
            has_cost[client] = has_cost.get(client, False) or row["reported"]["cost"] is not None
    return not all(has_cost.values())


def _reported_cost(row: Row) -> str:
    return money(row["reported"]["cost"]) if "reported" in row else ""


def _added_cost(row: Row) -> str:
    cost = row["added"]["cost"]
    if "cost_unknown" in row:
        return f"{cost} + unknown" if row["cost_unknown"] and cost is not None else money(cost)
    return money(cost) if row["counted"] else ""


def reconciled_row(
    session_id: str,
    layout: str,
    counters: Usage,
    expected: Usage | None,
    statistics: Usage | None,
    differing: Sequence[str],
    result: str,
) -> dict[str, Any]:
    """One session: its counters, the ledger's sums, its platform's statistics, the names of the numbers that differ.

    The result is `planned`, `repaired` or `changed` (in the meantime, so not repaired), or `reported` if only the
    statistics differ, which are never written.
    """
    numbers = {"counters": counters, "wanted": expected, "statistics": statistics}
    rows = {name: None if usage is None else usage_row(usage) for name, usage in numbers.items()}
    return {"session_id": session_id, "layout": layout, **rows, "differing": list(differing), "result": result}


def rolled_up_row(rows: int, chats: int, seconds: float) -> dict[str, Any]:
    """What a rollup added to daily sums, and how long it took."""
    return {"rows": rows, "chats": chats, "seconds": round(seconds, 3)}


_SHORT_REASONS: dict[str, str] = {
    CountingReason.CARRIED_OVER: "counters before",
    CountingReason.FIRST: "first report",
    CountingReason.BEYOND: "above earlier",
    CountingReason.NOT_ABOVE: "not above earlier",
    CountingReason.TURN: "one turn",
}


def _short_reason(value: Any) -> str:
    return "" if value is None else _SHORT_REASONS.get(value, value)


def _difference(row: Row) -> str:
    """Each number that differs, with the ledger's number, or that of the statistics."""
    source, title = ("statistics", "statistics") if row["result"] == "reported" else ("wanted", "ledger")
    return "; ".join(
        f"{name.removesuffix('_tokens')} {_number(row['counters'][name])}, {title} {_number(row[source][name])}"
        for name in row["differing"]
    )


def _number(value: Any) -> str:
    return count(value) if isinstance(value, int) else money(value)


EXPLAINED_COLUMNS = (
    Column("at", "TIME", is_time=True, whole=True),
    Column("run", "RUN", align="right", show=count, spare=3),
    Column("agent", "AGENT", narrowest=10),
    Column("model", "MODEL", narrowest=10),
    Column("reported.prompt_tokens", "PROMPT", align="right", show=count, in_table=False),
    Column("reported.completion_tokens", "COMPLETION", align="right", show=count, in_table=False),
    Column("reported.total_tokens", "REPORTED", align="right", show=count, spare=4),
    Column("reported.cached_tokens", "CACHED", align="right", show=count, in_table=False),
    Column("reported.reasoning_tokens", "REASONING", align="right", show=count, in_table=False),
    Column("reported.cost", "REPORTED COST", align="right", show_row=_reported_cost, spare=6),
    Column("added.prompt_tokens", "ADDED PROMPT", align="right", show=count, in_table=False),
    Column("added.completion_tokens", "ADDED COMPLETION", align="right", show=count, in_table=False),
    Column("added.total_tokens", "ADDED", align="right", show=count, spare=2),
    Column("added.cost", "ADDED COST", align="right", show_row=_added_cost),
    Column("counted", "COUNTED", spare=5),
    Column("reason", "WHY", show=_short_reason, wraps=True, spare=1, narrowest=20),
    Column("applied", "APPLIED", in_table=False),
    Column("event_id", "EVENT", in_table=False),
    Column("turn_id", "TURN", in_table=False),
    Column("usage_id", "ROW", in_table=False),
)
EXPORTED_COLUMNS = (
    Column("at", "TIME", is_time=True, whole=True),
    Column("session_id", "SESSION"),
    Column("layout", "LAYOUT", spare=5),
    Column("tenant_id", "TENANT"),
    Column("user_id", "USER", spare=3),
    Column("workflow", "WORKFLOW", spare=6),
    Column("run", "RUN", in_table=False),
    Column("agent", "AGENT", spare=2),
    Column("model", "MODEL", spare=7),
    Column("kind", "KIND", spare=1),
    Column("turn_id", "TURN", in_table=False),
    Column("event_id", "EVENT", in_table=False),
    Column("usage.prompt_tokens", "PROMPT", align="right", show=count, in_table=False),
    Column("usage.completion_tokens", "COMPLETION", align="right", show=count, in_table=False),
    Column("usage.total_tokens", "TOKENS", align="right", show=count),
    Column("usage.cost", "COST", align="right", show=money),
    Column("cached_tokens", "CACHED", in_table=False),
    Column("reasoning_tokens", "REASONING", in_table=False),
    Column("duration_sec", "SECONDS", in_table=False),
    Column("problem", "PROBLEM", in_table=False),
    Column("usage_id", "ROW", in_table=False),
)
RECONCILED_COLUMNS = (
    Column("session_id", "SESSION", whole=True),
    Column("layout", "LAYOUT", in_table=False),
    Column("counters.prompt_tokens", "PROMPT", align="right", show=count, in_table=False),
    Column("counters.completion_tokens", "COMPLETION", align="right", show=count, in_table=False),
    Column("counters.total_tokens", "COUNTERS", align="right", show=count, in_table=False),
    Column("counters.cost", "COST", align="right", show=money, in_table=False),
    Column("wanted.prompt_tokens", "LEDGER PROMPT", align="right", show=count, in_table=False),
    Column("wanted.completion_tokens", "LEDGER COMPLETION", align="right", show=count, in_table=False),
    Column("wanted.total_tokens", "LEDGER TOKENS", align="right", show=count, in_table=False),
    Column("wanted.cost", "LEDGER COST", align="right", show=money, in_table=False),
    Column("statistics.prompt_tokens", "STATISTICS PROMPT", align="right", show=count, in_table=False),
    Column("statistics.completion_tokens", "STATISTICS COMPLETION", align="right", show=count, in_table=False),
    Column("statistics.total_tokens", "STATISTICS TOKENS", align="right", show=count, in_table=False),
    Column("statistics.cost", "STATISTICS COST", align="right", show=money, in_table=False),
    Column("differing", "WHAT DIFFERS", show_row=_difference, wraps=True),
    Column("result", "RESULT", whole=True),
)
ROLLED_UP_COLUMNS = (
    Column("rows", "Rows added", show=count),
    Column("chats", "Sessions", show=count),
    Column("seconds", "Seconds"),
)
