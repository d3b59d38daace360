"""Results of `chatstore verify` as rows and as a Markdown task list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chatstore_cli.render.listing import Column, Row
from chatstore_cli.render.rows.sessions import status_style

if TYPE_CHECKING:
    from chatstore_cli.domain.checks import CheckResult


def check_row(check: CheckResult) -> dict[str, Any]:
    """One check."""
    return {
        "name": check.name,
        "status": check.status.value,
        "seconds": round(check.seconds, 3),
        "detail": check.detail,
        "hint": check.hint,
    }


def check_list_item(row: Row) -> tuple[str, str]:
    """One check as an item of a Markdown task list, which is ticked if the check passed."""
    mark = "[x]" if row["status"] == "pass" else "[ ]"
    status = "" if row["status"] == "pass" else f"{row['status'].upper()}: "
    hint = "" if row["hint"] is None else f" {row['hint']}"
    return mark, f"{row['name']} - {status}{row['detail']} ({row['seconds']:.3f} s){hint}"


CHECK_COLUMNS = (
    Column("status", "STATUS", style=status_style),
    Column("name", "CHECK", whole=True),
    Column("seconds", "SECONDS", align="right", show=lambda value: f"{value:.3f}", spare=1),
    Column("detail", "DETAIL", wraps=True),
    Column("hint", "WHAT TO DO", wraps=True),
)
