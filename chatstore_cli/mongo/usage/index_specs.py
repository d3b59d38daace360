"""The indexes of the usage ledger."""

from __future__ import annotations

from chatstore_cli.domain.indexes.specs import IndexSpec


def usage_index_specs(rows: str, daily_sums: str) -> tuple[IndexSpec, ...]:
    """The indexes of the ledger in the collection `rows`, and of the collection of its daily sums."""
    session = (("chat_id", 1), ("run", 1), ("agent", 1), ("model", 1), ("at", 1))
    return (
        IndexSpec(rows, "chat_usage_idx", session, why="a session's usage"),
        IndexSpec(rows, "at_idx", (("at", 1),), why="usage within a time span"),
        IndexSpec(rows, "rolled_up_idx", (("rolled_up", 1), ("chat_id", 1)), why="rows that are in no daily sum yet"),
        IndexSpec(daily_sums, "days_idx", (("last_day", 1), ("first_day", 1)), why="daily sums within a time span"),
    )
