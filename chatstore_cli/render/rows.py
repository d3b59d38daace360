"""The nouns as rows: plain values under the words of DESIGN section 2, and the columns that show them.

Key names are a promise: they change only with a line in the changelog.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from chatstore_cli.domain.checks import CheckResult
from chatstore_cli.domain.journal import FlushResult
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.times import rfc3339
from chatstore_cli.domain.usage import Usage
from chatstore_cli.render.listing import Column, Row, count, plain

_STATUS_STYLES = {
    "running": "cyan", "completed": "green", "failed": "red",
    "pass": "green", "warn": "yellow", "fail": "bold red", "skip": "dim",
}  # fmt: skip


def status_style(value: Any) -> str:
    """The colour of a status word."""
    return _STATUS_STYLES.get(str(value), "")


def money(value: Any) -> str:
    """A cost, or `unknown`: never 0 for what nobody knows (DESIGN, issue trackers' complaint in FACTS F)."""
    return "unknown" if value is None else str(value)


def decimal_text(value: Decimal | None) -> str | None:
    """A decimal without exponent and without trailing zeros beyond the point; None stays None."""
    if value is None:
        return None
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def usage_row(usage: Usage) -> dict[str, Any]:
    """`{prompt_tokens, completion_tokens, total_tokens, cost}`; cost is a decimal text, or null where unknown."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "cost": decimal_text(usage.cost),
    }


def session_row(session: Session) -> dict[str, Any]:
    """One session; `message_count_capped` says that there are more messages than `message_count`."""
    return {
        "session_id": session.session_id,
        "layout": session.layout,
        "tenant_id": session.tenant_id,
        "user_id": session.user_id,
        "title": session.title,
        "workflow": session.workflow,
        "status": session.status.value,
        "paused": session.paused,
        "created_at": rfc3339(session.created_at),
        "updated_at": rfc3339(session.updated_at),
        "message_count": session.message_count,
        "message_count_capped": session.message_count_capped,
        "usage": usage_row(session.usage),
    }


def message_row(message: Message) -> dict[str, Any]:
    """One message."""
    return {
        "message_id": message.message_id,
        "sequence": message.sequence,
        "role": message.role,
        "name": message.name,
        "content": message.content,
        "created_at": rfc3339(message.created_at),
        "event_type": message.event_type,
        "source": message.source,
        "tool_calls": message.tool_calls,
        "tool_call_id": message.tool_call_id,
        "metadata": message.metadata,
    }


def check_row(check: CheckResult) -> dict[str, Any]:
    """One check."""
    return {
        "name": check.name,
        "status": check.status.value,
        "seconds": round(check.seconds, 3),
        "detail": check.detail,
        "hint": check.hint,
    }


def flush_row(result: FlushResult) -> dict[str, Any]:
    """What a flush did. lines = stored + already_stored + skipped + quarantined + already_quarantined."""
    return {
        "files": result.files,
        "lines": result.lines,
        "stored": result.stored,
        "already_stored": result.already_stored,
        "quarantined": result.quarantined,
        "already_quarantined": result.already_quarantined,
        "skipped": result.skipped,
        "pending": result.pending,
        "seconds": round(result.seconds, 3),
        "messages_per_second": round(result.messages_per_second, 1),
    }


def _short_time(value: Any) -> str:
    return "" if value is None else str(value)[:19].replace("T", " ")


def _title_or_workflow(row: Row) -> str:
    return plain(row["title"] or row["workflow"])


def _message_count(row: Row) -> str:
    return f"{row['message_count']}+" if row["message_count_capped"] else count(row["message_count"])


SESSION_COLUMNS = (
    Column("session_id", "SESSION"),
    Column("layout", "LAYOUT"),
    Column("tenant_id", "TENANT"),
    Column("user_id", "USER"),
    Column("title", "TITLE OR WORKFLOW", show_row=_title_or_workflow),
    Column("workflow", "WORKFLOW", in_table=False),
    Column("status", "STATUS", style=status_style),
    Column("paused", "PAUSED", in_table=False),
    Column("message_count", "MESSAGES", align="right", show_row=_message_count),
    Column("message_count_capped", "CAPPED", in_table=False),
    Column("usage.prompt_tokens", "PROMPT", align="right", show=count, in_table=False),
    Column("usage.completion_tokens", "COMPLETION", align="right", show=count, in_table=False),
    Column("usage.total_tokens", "TOKENS", align="right", show=count),
    Column("usage.cost", "COST", align="right", show=money),
    Column("created_at", "CREATED (UTC)", show=_short_time, in_table=False),
    Column("updated_at", "UPDATED (UTC)", show=_short_time),
)
CHECK_COLUMNS = (
    Column("status", "STATUS", style=status_style),
    Column("name", "CHECK"),
    Column("seconds", "SECONDS", align="right", show=lambda value: f"{value:.3f}"),
    Column("detail", "DETAIL"),
    Column("hint", "WHAT TO DO"),
)
FLUSH_COLUMNS = (
    Column("files", "Files", align="right", show=count),
    Column("lines", "Lines", align="right", show=count),
    Column("stored", "Stored", align="right", show=count),
    Column("already_stored", "Already stored", align="right", show=count),
    Column("quarantined", "Quarantined", align="right", show=count),
    Column("already_quarantined", "Already quarantined", align="right", show=count),
    Column("skipped", "Skipped", align="right", show=count),
    Column("pending", "Pending", align="right", show=count),
    Column("seconds", "Seconds", align="right"),
    Column("messages_per_second", "Messages a second", align="right", show=count),
)
