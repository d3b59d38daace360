"""Rows of `chatstore cache status` and `cache prune`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chatstore_cli.domain.cache_status import LockHolder
from chatstore_cli.render.listing import Column, count
from chatstore_cli.render.rows.ignored import ignored_count, ignored_rows
from chatstore_cli.render.rows.journal_paths import below

if TYPE_CHECKING:
    from chatstore_cli.domain.cache_status import CacheStatus, PruneDecision


def cache_status_row(status: CacheStatus) -> dict[str, Any]:
    """The state of journals; null for what could not be found out. `worker` is null if no process follows them."""
    return {
        "sessions": status.sessions,
        "journals": status.journals,
        "lines": status.lines,
        "bytes": status.bytes,
        "not_persisted": status.not_persisted,
        "oldest_not_persisted": _instant(status.oldest_not_persisted),
        "to_quarantine": status.to_quarantine,
        "torn": status.incomplete,
        "incomplete_journals": list(status.incomplete_journals),
        "quarantined": status.quarantined,
        "worker": None if status.worker is None else _holder(status.worker),
        "ignored_files": ignored_rows(status.ignored),
        "future_journals": {"count": status.future.count, "examples": list(status.future.examples)},
    }


def prune_row(decision: PruneDecision) -> dict[str, Any]:
    """Whether one journal is removed, and why; what was not read is null.

    `covered` lines were deleted with their session, and `dropped` ones were dropped from the quarantine: they need not be
    stored. `expired` ones were stored and have expired since.
    """
    return {
        "journal": decision.journal,
        "session_id": decision.session_id,
        "lines": decision.lines,
        "covered": decision.covered,
        "dropped": decision.dropped,
        "expired": None if decision.lines is None else decision.expired,
        "bytes": decision.bytes,
        "newest": _instant(decision.newest),
        "action": "pruned" if decision.pruned else "prune" if decision.prune else "keep",
        "reason": decision.reason,
    }


def _holder(holder: LockHolder) -> dict[str, Any]:
    return {"command": holder.command, "pid": holder.pid, "host": holder.host, "since": _instant(holder.since)}


def _instant(canonical: str | None) -> str | None:
    return None if canonical is None else canonical.replace("+00:00", "Z")


def _known_count(value: Any) -> str:
    return "unknown" if value is None else count(value)


def _holder_text(value: Any) -> str:
    if value is None:
        return "none"
    return str(LockHolder(**value))


CACHE_STATUS_COLUMNS = (
    Column("sessions", "Sessions", show=count),
    Column("journals", "Journals", show=count),
    Column("lines", "Lines", show=count),
    Column("bytes", "Bytes", show=count),
    Column("not_persisted", "Not persisted", show=_known_count),
    Column("oldest_not_persisted", "Oldest not persisted", is_time=True),
    Column("to_quarantine", "Cannot be stored", show=count),
    Column("torn", "Incomplete last lines", show=count),
    Column("quarantined", "Quarantined", show=_known_count),
    Column("worker", "Worker", show=_holder_text),
    Column("ignored_files", "Ignored files", show=ignored_count),
    Column("future_journals", "Journals with future lines", show=lambda value: count(value["count"])),
)


def prune_columns(folder: str) -> tuple[Column, ...]:
    """The columns of decisions about journals; a table has their paths below `folder`, which contains all of them."""
    return (
        Column("action", "ACTION", whole=True),
        Column("journal", "JOURNAL", show=lambda path: below(path, folder), wraps=True, narrowest=24),
        Column("session_id", "SESSION", in_table=False),
        Column("lines", "LINES", align="right", show=count, spare=1),
        Column("covered", "COVERED", align="right", show=count, in_table=False),
        Column("dropped", "DROPPED", align="right", show=count, in_table=False),
        Column("expired", "EXPIRED", align="right", show=count, in_table=False),
        Column("bytes", "BYTES", align="right", show=count, spare=2),
        Column("newest", "NEWEST", is_time=True, whole=True, spare=4),
        Column("reason", "REASON", wraps=True, narrowest=24),
    )
