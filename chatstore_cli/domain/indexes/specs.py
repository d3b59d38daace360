"""The indexes that a layout needs. Stored indexes and differences are in findings.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """One index that a layout needs. `keys` are (field, 1 or -1) in order; `expire_after_seconds` makes it a TTL index.

    `text_fields` make it a text index, whose keys are those that the server lists (core/search/indexes.py: TEXT_KEYS).
    """

    collection: str
    name: str
    keys: tuple[tuple[str, Any], ...]
    unique: bool = False
    partial_filter: Mapping[str, Any] | None = None
    expire_after_seconds: int | None = None
    why: str = ""
    text_fields: tuple[str, ...] = ()
