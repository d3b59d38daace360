"""Rows of `chatstore threads repair`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chatstore_cli.render.listing import Column, count

if TYPE_CHECKING:
    from chatstore_cli.domain.threads.repair import ThreadFault

_PROBLEMS = {"no_thread": "messages without a thread", "sequence_behind": "last_sequence is behind"}


def repair_row(fault: ThreadFault, result: str, messages: int) -> dict[str, Any]:
    """One fault, and the result: `planned`, `removed`, `corrected` or `changed` (in the meantime, so not repaired).

    `messages` is how many would be removed, or were.
    """
    return {
        "thread_id": fault.thread_id,
        "problem": str(fault.problem),
        "messages": messages,
        "last_sequence": fault.last_sequence,
        "highest_sequence": fault.highest_sequence,
        "result": str(result),
    }


REPAIR_COLUMNS = (
    Column("thread_id", "THREAD", whole=True),
    Column("problem", "PROBLEM", show=lambda problem: _PROBLEMS[problem]),
    Column("messages", "MESSAGES", align="right", show=count),
    Column("last_sequence", "LAST SEQUENCE", align="right", show=count, spare=1),
    Column("highest_sequence", "HIGHEST SEQUENCE", align="right", show=count, spare=1),
    Column("result", "RESULT"),
)
