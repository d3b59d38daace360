"""Indexes as they should be, as they are, and the difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """One index that a layout needs. `keys` are (field, 1 or -1) in order; `expire_after_seconds` makes it a TTL index."""

    collection: str
    name: str
    keys: tuple[tuple[str, int], ...]
    unique: bool = False
    partial_filter: Mapping[str, Any] | None = None
    expire_after_seconds: int | None = None
    why: str = ""


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
