"""Indexes as they are, how they differ from what they should be, and what can be done about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from chatstore_cli.domain.indexes.specs import IndexSpec


@dataclass(frozen=True, slots=True)
class StoredIndex:
    """One index as the database has it. Directions may be more than 1 and -1: `text`, `2dsphere`, `hashed`.

    `collation` is its locale where it differs from what the collection's queries use, else None.
    """

    collection: str
    name: str
    keys: tuple[tuple[str, Any], ...]
    unique: bool = False
    sparse: bool = False
    partial_filter: Mapping[str, Any] | None = None
    expire_after_seconds: float | None = None
    hidden: bool = False
    collation: str | None = None


class IndexState(StrEnum):
    """What comparing keys and options (never names: FACTS B) found."""

    OK = "ok"
    MISSING = "missing"
    DRIFTED = "drifted"
    UNNEEDED = "unneeded"


@dataclass(frozen=True, slots=True)
class IndexFinding:
    """One index of one collection: `name` is the stored name where it exists, `detail` what differs and what that costs."""

    collection: str
    name: str
    keys: tuple[tuple[str, Any], ...]
    state: IndexState
    detail: str
    spec: IndexSpec | None = None
    stored: StoredIndex | None = None


class IndexAction(StrEnum):
    """What can be done about a finding. `modify` is a collMod: it changes an option without touching the index."""

    CREATE = "create"
    MODIFY = "modify"
    REBUILD = "rebuild"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class IndexStep:
    """One thing that applying would do. `expiring` is how many documents go at once by it; None where nobody knows.

    `needs_yes` says that it drops something, or makes the database delete documents.
    """

    action: IndexAction
    finding: IndexFinding
    detail: str
    needs_yes: bool
    expiring: int | None = 0
