"""Time zones in pipelines: the offsets of a zone from UTC.

They come from `zoneinfo`, not from the server, whose own table may be years old.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from chatstore_cli.domain.times import to_milliseconds

FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""Offsets are looked up within these years only."""


def local_time(zone: tzinfo, since: datetime, until: datetime) -> Any:
    """The expression of `at` as the clocks of a zone show it, written as if it were UTC, for rows of a time span."""
    changes = offsets(zone, since, until)
    offset: Any = changes[0][1]
    if len(changes) > 1:
        newest_first = [{"case": {"$gte": ["$at", instant]}, "then": later} for instant, later in changes[:0:-1]]
        offset = {"$switch": {"branches": newest_first, "default": offset}}
    return {"$add": ["$at", offset]}


def offsets(zone: tzinfo, since: datetime, until: datetime) -> list[tuple[datetime, int]]:
    """The zone's offsets from UTC in milliseconds within a time span, each with the instant from which it holds."""
    since, until = (min(max(edge, FIRST), LAST) for edge in (since, until))
    changes = [(since, _offset(zone, since))]
    step = timedelta(hours=12)
    while since < until:
        ahead = min(since + step, until)
        if _offset(zone, ahead) != changes[-1][1]:
            low, high = since, ahead
            while high - low > timedelta(milliseconds=1):
                middle = low + (high - low) / 2
                low, high = (low, middle) if _offset(zone, middle) != changes[-1][1] else (middle, high)
            instant = to_milliseconds(high)
            changes.append((instant, _offset(zone, ahead)))
        since = ahead
    return changes


def _offset(zone: tzinfo, instant: datetime) -> int:
    offset = instant.astimezone(zone).utcoffset() or timedelta()
    return round(offset.total_seconds() * 1000)
