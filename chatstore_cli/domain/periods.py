"""Periods: the half-open span of time that a command covers, and how `--since` and `--until` name it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

from chatstore_cli.domain.errors import BadValue, WrongUse
from chatstore_cli.domain.times import as_utc, read_when, rfc3339

_BARE_DATE = re.compile(r"\d{4}-?\d\d-?\d\d|\d{4}-?W\d\d(-?\d)?", re.IGNORECASE)
"""A date without a time: ISO 8601, also as a week date."""


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` to `until`: the first is included and the second is not. None is no limit. Days are those of `zone`."""

    since: datetime | None = None
    until: datetime | None = None
    zone: tzinfo = UTC

    def to_dict(self) -> dict[str, Any]:
        """`{since, until, timezone}`: both instants as RFC 3339 in UTC, and the name of the zone."""
        return {"since": rfc3339(self.since), "until": rfc3339(self.until), "timezone": str(self.zone)}


def read_period(since: str | None, until: str | None, now: datetime, zone: tzinfo = UTC) -> Period:
    """The period of `--since` and `--until`; None for an option without a value. For the forms, see `read_when`.

    A day includes all of it: `--until 2026-10-31`, `--until today` and `--until yesterday` end at the midnight after that
    day in `zone`. A time is exact: `--until 2026-10-31T18:00` ends there. Raises BadValue, and WrongUse if the period
    would be empty.
    """
    first = None if since is None else read_when(since, "--since", now, zone)
    last = None if until is None else _end(until, now, zone)
    if first is not None and last is not None and first >= last:
        start, end = (rfc3339(edge.replace(microsecond=0)) for edge in (first, last))
        what = f"--since {since} ({start}) is not earlier than --until {until} ({end})."
        raise WrongUse(what=what, hint="Give the earlier time with --since and the later one with --until.")
    return Period(first, last, zone)


def midnight(day: date, zone: tzinfo) -> datetime:
    """The instant, in UTC, at which a day begins in a zone. Raises ValueError outside the years 1 to 9999."""
    return as_utc(datetime(day.year, day.month, day.day, tzinfo=zone))


def _end(until: str, now: datetime, zone: tzinfo) -> datetime:
    """The end of the day that `--until` names, or the instant that it names."""
    moment = read_when(until, "--until", now, zone)
    word = until.strip().lower()
    if word not in ("today", "yesterday") and not _BARE_DATE.fullmatch(word):
        return moment
    try:
        return midnight(moment.astimezone(zone).date() + timedelta(days=1), zone)
    except (ValueError, OverflowError) as error:
        raise BadValue(name="--until", value=until, expected="a day before the end of the year 9999") from error
