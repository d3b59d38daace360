"""The indexes of the threads layout."""

from __future__ import annotations

from chatstore_cli.domain.indexes.specs import IndexSpec


def message_index_spec(messages: str) -> IndexSpec:
    """The index of the messages, on the collection of that name. Without it no message is written."""
    return IndexSpec(
        messages,
        "thread_sequence_idx",
        (("chat_thread_id", 1), ("sequence", 1)),
        unique=True,
        why="reads a thread in order, and rejects a second message at one place",
    )


def index_specs(threads: str, messages: str) -> tuple[IndexSpec, ...]:
    """The indexes of the threads layout, on the collections of these names."""
    newest_first = (("updated_at", -1), ("_id", -1))
    return (
        IndexSpec(threads, "updated_idx", newest_first, why="lists threads newest first"),
        IndexSpec(threads, "org_updated_idx", (("org_id", 1), *newest_first), why="lists by tenant"),
        IndexSpec(threads, "user_updated_idx", (("user_id", 1), *newest_first), why="lists by user"),
        message_index_spec(messages),
    )
