"""Rows of the usage ledger's commands: explained rows, counters that differ, rollups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chatstore_cli.domain.times import rfc3339
from chatstore_cli.domain.usage_ledger import CountingReason
from chatstore_cli.render.listing import Column, Row, count, short_time
from chatstore_cli.render.rows.sessions import decimal_text, money, usage_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chatstore_cli.domain.usage import Usage
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
    reported = {**usage_row(report), "cached_tokens": report.cached_tokens}
    return {
        "usage_id": row.row_id,
        "event_id": report.event_id,
        "at": None if row.problem is not None and report.at.year == 1 else rfc3339(report.at),
        "run": report.run,
        "agent": report.agent,
        "model": report.model,
        "reported": reported,
        "applied": row.applied,
        "counted": counted,
        "added": usage_row(added),
        "reason": reason,
    }


def explained_footer(sums: Usage) -> dict[str, Any]:
    """The sums, as the last row of a table."""
    return {"at": "TOTAL", "added": usage_row(sums), "counted": None}


def reconciled_row(
    session_id: str, counters: Usage, expected: Usage, differing: Sequence[str], result: str
) -> dict[str, Any]:
    """One session: its counters, the expected ones, the names of those that differ, and the result.

    The result is `planned`, `repaired` or `changed` (in the meantime, so not repaired).
    """
    numbers = {"counters": usage_row(counters), "wanted": usage_row(expected)}
    return {"session_id": session_id, **numbers, "differing": list(differing), "result": result}


def rolled_up_row(rows: int, chats: int, seconds: float) -> dict[str, Any]:
    """What a rollup added to daily sums, and how long it took."""
    return {"rows": rows, "chats": chats, "seconds": round(seconds, 3)}


def _short_time(value: Any) -> str:
    return short_time(value) if str(value)[:1].isdigit() else str(value or "")


_SHORT_REASONS: dict[str, str] = {
    CountingReason.CARRIED_OVER: "counters before",
    CountingReason.FIRST: "first report",
    CountingReason.BEYOND: "above earlier",
    CountingReason.NOT_ABOVE: "not above earlier",
}


def _short_reason(value: Any) -> str:
    return "" if value is None else _SHORT_REASONS.get(value, value)


def _difference(row: Row) -> str:
    """Each number that differs, with the ledger's number."""
    return "; ".join(
        f"{name.removesuffix('_tokens')} {_number(row['counters'][name])}, ledger {_number(row['wanted'][name])}"
        for name in row["differing"]
    )


def _number(value: Any) -> str:
    return count(value) if isinstance(value, int) else money(value)


EXPLAINED_COLUMNS = (
    Column("at", "TIME (UTC)", show=_short_time, whole=True),
    Column("run", "RUN", align="right", show=count, spare=3),
    Column("agent", "AGENT", narrowest=10),
    Column("model", "MODEL", narrowest=10),
    Column("reported.prompt_tokens", "PROMPT", align="right", show=count, in_table=False),
    Column("reported.completion_tokens", "COMPLETION", align="right", show=count, in_table=False),
    Column("reported.total_tokens", "REPORTED", align="right", show=count, spare=1),
    Column("reported.cached_tokens", "CACHED", align="right", show=count, in_table=False),
    Column("reported.cost", "REPORTED COST", align="right", spare=6),
    Column("added.prompt_tokens", "ADDED PROMPT", align="right", show=count, in_table=False),
    Column("added.completion_tokens", "ADDED COMPLETION", align="right", show=count, in_table=False),
    Column("added.total_tokens", "ADDED", align="right", show=count),
    Column("added.cost", "ADDED COST", align="right", spare=4),
    Column("counted", "COUNTED", spare=5),
    Column("reason", "WHY", show=_short_reason, wraps=True, spare=2, narrowest=20),
    Column("applied", "APPLIED", in_table=False),
    Column("event_id", "EVENT", in_table=False),
    Column("usage_id", "ROW", in_table=False),
)
RECONCILED_COLUMNS = (
    Column("session_id", "SESSION", whole=True),
    Column("counters.prompt_tokens", "PROMPT", align="right", show=count, in_table=False),
    Column("counters.completion_tokens", "COMPLETION", align="right", show=count, in_table=False),
    Column("counters.total_tokens", "COUNTERS", align="right", show=count, in_table=False),
    Column("counters.cost", "COST", align="right", show=money, in_table=False),
    Column("wanted.prompt_tokens", "LEDGER PROMPT", align="right", show=count, in_table=False),
    Column("wanted.completion_tokens", "LEDGER COMPLETION", align="right", show=count, in_table=False),
    Column("wanted.total_tokens", "LEDGER TOKENS", align="right", show=count, in_table=False),
    Column("wanted.cost", "LEDGER COST", align="right", show=money, in_table=False),
    Column("differing", "WHAT DIFFERS", show_row=_difference, wraps=True),
    Column("result", "RESULT", whole=True),
)
ROLLED_UP_COLUMNS = (
    Column("rows", "Rows added", show=count),
    Column("chats", "Sessions", show=count),
    Column("seconds", "Seconds"),
)
