"""Rows of `chatstore cache status` and `cache prune`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chatstore_cli.render.listing import Column, count

if TYPE_CHECKING:
    from chatstore_cli.domain.cache_status import CacheStatus, Fate, LockHolder


def cache_status_row(status: CacheStatus) -> dict[str, Any]:
    """How journals stand; null for what only the database could tell. `worker` is null where nobody follows them."""
    return {
        "sessions": status.sessions,
        "journals": status.journals,
        "lines": status.lines,
        "bytes": status.bytes,
        "not_persisted": status.not_persisted,
        "oldest_not_persisted": _instant(status.oldest_not_persisted),
        "to_quarantine": status.to_quarantine,
        "torn": status.torn,
        "quarantined": status.quarantined,
        "worker": None if status.worker is None else _holder(status.worker),
    }


def fate_row(fate: Fate) -> dict[str, Any]:
    """What becomes of one journal; `lines` and `newest` are null where it was not read."""
    return {
        "journal": fate.journal,
        "session_id": fate.session_id,
        "lines": fate.lines,
        "bytes": fate.bytes,
        "newest": _instant(fate.newest),
        "action": "pruned" if fate.pruned else "prune" if fate.prune else "keep",
        "reason": fate.reason,
    }


def _holder(holder: LockHolder) -> dict[str, Any]:
    return {
        "command": holder.command,
        "pid": holder.pid,
        "host": holder.host,
        "since": _instant(holder.since),
    }


def _instant(canonical: str | None) -> str | None:
    return None if canonical is None else canonical.replace("+00:00", "Z")


def _known(value: Any) -> str:
    return "unknown" if value is None else count(value)


def _told(value: Any) -> str:
    if value is None:
        return "none"
    return f"{value['command']} (process {value['pid']} on {value['host']}, since {value['since']})"


def _short_time(value: Any) -> str:
    return "" if value is None else str(value)[:19].replace("T", " ")


CACHE_STATUS_COLUMNS = (
    Column("sessions", "Sessions", show=count),
    Column("journals", "Journals", show=count),
    Column("lines", "Lines", show=count),
    Column("bytes", "Bytes", show=count),
    Column("not_persisted", "Not persisted", show=_known),
    Column("oldest_not_persisted", "Oldest of them (UTC)", show=_short_time),
    Column("to_quarantine", "Cannot be stored", show=count),
    Column("torn", "Torn last lines", show=count),
    Column("quarantined", "Quarantined", show=count),
    Column("worker", "Worker", show=_told),
)
FATE_COLUMNS = (
    Column("action", "ACTION", whole=True),
    Column("journal", "JOURNAL", wraps=True),
    Column("session_id", "SESSION", spare=3),
    Column("lines", "LINES", align="right", show=count, spare=1),
    Column("bytes", "BYTES", align="right", show=count, spare=2),
    Column("newest", "NEWEST (UTC)", show=_short_time, whole=True, spare=4),
    Column("reason", "REASON", wraps=True),
)
