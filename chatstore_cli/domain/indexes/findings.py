"""Stored indexes, their differences from the needed indexes, and the steps that correct them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from chatstore_cli.domain.general_counters import DoubledCounters
from chatstore_cli.domain.indexes.specs import IndexSpec


@dataclass(frozen=True, slots=True)
class TextOptions:
    """The options of a text index. A document can have a language of its own in `language_field`."""

    fields: tuple[str, ...]
    language: str
    language_field: str
    version: int


@dataclass(frozen=True, slots=True)
class StoredIndex:
    """One index in the database. A direction is 1, -1, or a type such as `text`, `2dsphere` or `hashed`.

    `collation` is its collation in words, None if it compares texts byte by byte as chatstore's queries do.
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
    text: TextOptions | None = None


class IndexState(StrEnum):
    """The result of comparing keys and options. The name decides only whether an index that is not needed is chatstore's own.

    `unneeded`: chatstore made it, and no layout needs it any more. `other`: chatstore did not ask for it.
    """

    OK = "ok"
    MISSING = "missing"
    DRIFTED = "drifted"
    UNNEEDED = "unneeded"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class IndexFinding:
    """One index of one collection. `name` is the stored name if the index exists; `detail` has each difference and its consequence."""

    collection: str
    name: str
    keys: tuple[tuple[str, Any], ...]
    state: IndexState
    detail: str
    spec: IndexSpec | None = None
    stored: StoredIndex | None = None


class IndexAction(StrEnum):
    """What a step does. `modify` is a collMod: it changes an option and does not rebuild the index.

    `merge` deletes documents that prevent the creation of a unique index.
    """

    MERGE = "merge"
    CREATE = "create"
    MODIFY = "modify"
    REBUILD = "rebuild"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class IndexStep:
    """One step that applying takes. `expiring` documents would be deleted at once; None if they could not be counted.

    `needs_yes` is true if the step drops an index, merges documents, or can make MongoDB delete documents. `merged` are
    the counters of a step that merges.
    """

    action: IndexAction
    finding: IndexFinding
    detail: str
    needs_yes: bool
    expiring: int | None = 0
    merged: DoubledCounters | None = None
