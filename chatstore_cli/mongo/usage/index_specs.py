"""The indexes of the usage ledger."""

from __future__ import annotations

from chatstore_cli.domain.indexes.specs import IndexSpec


def usage_index_specs(collection: str, rollups: str) -> tuple[IndexSpec, ...]:
    """The indexes of the ledger and of its daily sums, on the collections of these names."""
    chat = (("chat_id", 1), ("run", 1), ("agent", 1), ("model", 1), ("at", 1))
    return (
        IndexSpec(collection, "chat_usage_idx", chat, why="a chat's usage"),
        IndexSpec(collection, "at_idx", (("at", 1),), why="usage within a span of time"),
        IndexSpec(collection, "rolled_up_idx", (("rolled_up", 1), ("chat_id", 1)), why="what is not in daily sums yet"),
        IndexSpec(rollups, "days_idx", (("last_day", 1), ("first_day", 1)), why="daily sums within a span of time"),
    )
