"""Stored times of flat messages: ISO 8601 text in any form, or BSON dates.

An index sorts text as text, and every date after every text. Texts in one form sort as their instants do; texts in UTC
with `Z`, `+00:00` or no offset do so except within one second.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from chatstore_cli.domain.times import as_utc

EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)
SECOND = timedelta(seconds=1)

TEXT: dict[str, Any] = {"$gte": "0", "$lt": ":"}
"""The condition on `created_at` for text that begins with a digit."""
DATE: dict[str, Any] = {"$gte": EARLIEST}
"""The condition on `created_at` for BSON dates."""
BRACKETS = (TEXT, DATE)

_IN_UTC = re.compile(r"....-..-..(.)..:..:..(?:\.\d+)?(?:Z|\+00:00)?")


def up_to(moment: datetime, ahead: timedelta) -> tuple[dict[str, Any], dict[str, Any]]:
    """TEXT and DATE, limited to instants up to the moment's second. `ahead` is the greatest offset from UTC of stored texts."""
    try:
        text = (moment + SECOND + ahead).isoformat()[:19]
    except OverflowError:
        return BRACKETS
    return {**TEXT, "$lt": text}, {**DATE, "$lte": moment}


def utc_offset(value: Any) -> timedelta:
    """The offset from UTC of a stored text; zero for a date, for UTC, and for text that is not a time."""
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value).utcoffset() or timedelta()
        except ValueError:
            pass
    return timedelta()


def form_of(value: Any) -> object:
    """The form of a stored time. Stored times of equal forms sort as their seconds do."""
    if not isinstance(value, str):
        return type(value)
    if match := _IN_UTC.fullmatch(value):
        return match[1]
    return value[10:11], len(value), utc_offset(value)


def second_of(value: Any) -> object:
    """The second of a stored time. Within one second the stored order may differ from the order of instants."""
    if value.__class__ is str:
        return value[:19]
    return as_utc(value).replace(microsecond=0) if isinstance(value, datetime) else value
