"""Times of flat messages as they are stored: ISO 8601 text in any form, or BSON dates, side by side.

An index sorts text as text and puts every date behind every text. Text in one form sorts as the instants do; UTC
written as `Z`, `+00:00` or without an offset differs from that inside one second only.
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
    """The two conditions, limited to instants up to the moment's second; `ahead` is how far local text runs ahead of UTC."""
    try:
        text = (moment + SECOND + ahead).isoformat()[:19]
    except OverflowError:
        return BRACKETS
    return {**TEXT, "$lt": text}, {**DATE, "$lte": moment}


def utc_offset(value: Any) -> timedelta:
    """How far a stored text's clock is ahead of UTC; nothing for a date, for UTC, or for what is no time."""
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value).utcoffset() or timedelta()
        except ValueError:
            pass
    return timedelta()


def form_of(value: Any) -> object:
    """What two stored times must have in common for their stored order to be that of their seconds."""
    if not isinstance(value, str):
        return type(value)
    if match := _IN_UTC.fullmatch(value):
        return match[1]
    return value[10:11], len(value), utc_offset(value)


def second_of(value: Any) -> object:
    """The second a stored time lies in; equal for times whose stored order does not tell their real one."""
    if value.__class__ is str:
        return value[:19]
    return as_utc(value).replace(microsecond=0) if isinstance(value, datetime) else value
