"""The indexes that a layout needs. Stored indexes and differences are in findings.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
