"""Rows and columns of indexes and retention."""

from __future__ import annotations

from typing import Any

from chatstore_cli.domain.indexes.findings import IndexFinding, IndexStep
from chatstore_cli.domain.indexes.ttl import Retention
from chatstore_cli.domain.times import rfc3339
from chatstore_cli.render.listing import Column, count

_STATE_STYLES = {"ok": "green", "missing": "bold red", "drifted": "yellow", "unneeded": "dim"}


def index_row(finding: IndexFinding) -> dict[str, Any]:
    """One index; `keys` is field -> direction, in order."""
    return {
        "collection": finding.collection,
        "name": finding.name,
        "keys": dict(finding.keys),
        "state": finding.state.value,
        "detail": finding.detail,
    }


def step_row(step: IndexStep, outcome: str) -> dict[str, Any]:
    """One step of applying; `outcome` is done, planned or left. `expiring` is null if the documents could not be counted."""
    return {
        "collection": step.finding.collection,
        "name": step.finding.name,
        "keys": dict(step.finding.keys),
        "action": step.action.value,
        "outcome": outcome,
        "needs_yes": step.needs_yes,
        "expiring": step.expiring,
        "detail": step.detail,
    }


def retention_row(retention: Retention, ttl_days: int | None) -> dict[str, Any]:
    """One collection. `ttl_days` is its setting, if it has one. A count is null if the time limit passed; `sampled` is null if all documents were counted."""
    dates = retention.dates
    return {
        "layout": retention.layout,
        "collection": retention.collection,
        "field": retention.field,
        "index": retention.index.name if retention.index is not None else None,
        "expire_after_seconds": retention.index.expire_after_seconds if retention.index is not None else None,
        "ttl_days": ttl_days,
        "documents": retention.documents,
        "expired": retention.expired,
        "next_expiry": rfc3339(retention.next_expiry),
        "without_date": dates.absent if dates is not None else None,
        "never_expiring": dict(dates.other_types) if dates is not None else None,
        "sampled": dates.looked_at if dates is not None else None,
    }


def _keys(keys: Any) -> str:
    return ", ".join(f"{field} {direction}" for field, direction in keys.items())


def _types(types: Any) -> str:
    if types is None:
        return "not counted in time"
    return ", ".join(f"{number:,} {kind}" for kind, number in types.items()) or "0"


def _counted(value: Any) -> str:
    return "not counted in time" if value is None else count(value)


INDEX_COLUMNS = (
    Column("collection", "COLLECTION"),
    Column("name", "INDEX", whole=True),
    Column("keys", "KEYS", show=_keys, wraps=True),
    Column("state", "STATE", style=lambda state: _STATE_STYLES.get(state, "")),
    Column("detail", "DETAIL", wraps=True),
)
STEP_COLUMNS = (
    Column("collection", "COLLECTION"),
    Column("name", "INDEX", whole=True),
    Column("keys", "KEYS", show=_keys, wraps=True),
    Column("action", "ACTION"),
    Column("outcome", "OUTCOME", style=lambda outcome: {"done": "green", "left": "yellow"}.get(outcome, "")),
    Column("needs_yes", "NEEDS --YES", in_table=False),
    Column("expiring", "DELETED AT ONCE", align="right", show=lambda value: "" if value == 0 else _counted(value)),
    Column("detail", "DETAIL", wraps=True),
)
RETENTION_COLUMNS = (
    Column("layout", "Layout"),
    Column("collection", "Collection"),
    Column("field", "Field"),
    Column("index", "TTL index", show=lambda name: name or "missing: MongoDB deletes nothing"),
    Column(
        "expire_after_seconds",
        "Expire after (seconds)",
        align="right",
        show=lambda value: "" if value is None else f"{value:.15g}",
    ),
    Column("ttl_days", "TTL days", align="right", show=lambda days: "" if days is None else str(days)),
    Column("documents", "Documents", align="right", show=count),
    Column("expired", "Expired now", align="right", show=_counted),
    Column("next_expiry", "Next to expire", is_time=True),
    Column("without_date", "Without date", align="right", show=_counted),
    Column("never_expiring", "Other types (never expire)", show=_types),
    Column("sampled", "Sampled", align="right", show=lambda number: "" if number is None else f"{number:,}"),
)
