"""What a TTL index deletes, and what it never deletes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from chatstore_cli.domain.indexes.findings import StoredIndex

DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class DateField:
    """The types of a field that a TTL index is on. Only a date, or an array with a date, ever expires.

    `absent` documents lack the field or have null there. `other_types` has a count for each BSON type that never
    expires. `looked_at` is None if all documents were counted, else the size of the random sample that was counted.
    """

    absent: int
    other_types: Mapping[str, int] = field(default_factory=dict)
    looked_at: int | None = None


@dataclass(frozen=True, slots=True)
class Retention:
    """What MongoDB deletes by itself from one collection, and what it does not.

    `field` is the field of the TTL index, or of the missing one (`index` None). A count is None if the time limit
    passed. `carries_own_date` is true if each document has its own expiry date in `field`.
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
