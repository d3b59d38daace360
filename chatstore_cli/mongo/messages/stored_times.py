"""Stored times of flat messages: ISO 8601 text in any form, BSON dates, or numbers of seconds or milliseconds since 1970.

An index sorts values by type first, then by value. So each kind of time has a range of its own, in which the index order
is that of the instants. Texts in one form sort as their instants do; texts in UTC with `Z`, `+00:00` or no offset do so
except within one second. A value outside the ranges, or a text in them that is not a time, has no instant.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, NamedTuple

from chatstore_cli.domain.times import (
    EARLIEST_SECONDS,
    FIRST_MILLISECONDS,
    LATEST_MILLISECONDS,
    as_utc,
)
from chatstore_cli.mongo.bson_values import stored_instant

EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)
SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)


class Range(Enum):
    """The ranges of stored times, each with the condition on `created_at` that selects it."""

    TEXT = {"$gte": "0", "$lt": ":"}  # noqa: RUF012 - text that begins with a digit
    DATE = {"$gte": EARLIEST, "$lte": LATEST}  # noqa: RUF012
    SECONDS = {"$gte": EARLIEST_SECONDS, "$lt": FIRST_MILLISECONDS}  # noqa: RUF012
    MILLISECONDS = {"$gte": FIRST_MILLISECONDS, "$lte": LATEST_MILLISECONDS}  # noqa: RUF012

    @property
    def condition(self) -> dict[str, Any]:
        """The condition on `created_at`."""
        return dict(self.value)

    def up_to(self, moment: datetime, ahead: timedelta) -> dict[str, Any]:
        """The condition, limited to instants up to the moment's second. `ahead` is how far a text may sort after its instant."""
        try:
            last = moment + SECOND
            if self is Range.TEXT:
                return {**self.value, "$lt": (last + ahead).isoformat()[:19]}
        except OverflowError:
            return self.condition
        if self is Range.DATE:
            return {**self.value, "$lte": moment}
        number = last.timestamp() * (1000 if self is Range.MILLISECONDS else 1)
        return {**{key: limit for key, limit in self.value.items() if key == "$gte"}, "$lte": min(number, _LAST[self])}


_LAST = {Range.SECONDS: FIRST_MILLISECONDS - 1, Range.MILLISECONDS: LATEST_MILLISECONDS}
