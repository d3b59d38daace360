"""How long documents are kept: what a TTL index does, and what it can not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from chatstore_cli.domain.indexes.findings import StoredIndex

DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class DateField:
    """What documents hold in a field that a TTL index is on: only a date (or an array with one) ever expires (FACTS A).

    `other_types` counts by BSON type. `looked_at` is None where all documents were counted; else it is how many were,
    taken at random, and the counts are of those.
    """

    absent: int
    other_types: Mapping[str, int] = field(default_factory=dict)
    looked_at: int | None = None


@dataclass(frozen=True, slots=True)
class Retention:
    """What the database deletes by itself from one collection, and what it does not.

    `field` and `expire_after_seconds` are of the TTL index, or of the one that is missing (`index` None). A count is
    None where the time limit passed. `carries_own_date` says that each document holds the date on which it goes.
    """

    layout: str
    collection: str
    field: str
    carries_own_date: bool
    index: StoredIndex | None
    documents: int
    dates: DateField | None
    expired: int | None
    next_expiry: datetime | None
