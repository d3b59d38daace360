"""Periods: the half-open span of time that a command covers, and how `--since` and `--until` name it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

from chatstore_cli.domain.errors import BadValue, WrongUse
from chatstore_cli.domain.times import as_utc, read_when, rfc3339

_BARE_DATE = re.compile(r"\d{4}-?\d\d-?\d\d|\d{4}-?W\d\d(-?\d)?", re.IGNORECASE)
"""A date without a time: ISO 8601, also as a week date."""
_MONTH = re.compile(r"(\d{4})-(\d\d)")


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` to `until`: the first is included and the second is not. None is no limit. Days are those of `zone`."""

    since: datetime | None = None
    until: datetime | None = None
    zone: tzinfo = UTC

    def as_text(self) -> str:
        """Both limits as clocks in the zone show them, such as `2026-10-01 00:00 to 2026-11-01 00:00 (Europe/Berlin)`."""
        since, until = (None if edge is None else _local_text(edge, self.zone) for edge in (self.since, self.until))
        if since is None and until is None:
            span = "all times"
        elif until is None:
            span = f"from {since}"
        else:
            span = f"until {until}" if since is None else f"{since} to {until}"
        return f"{span} ({self.zone})"

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


def read_month(text: str, zone: tzinfo = UTC) -> Period:
    """The period of `--month`, a month such as 2026-10. Raises BadValue."""
    found = _MONTH.fullmatch(text.strip())
    try:
        if found is not None:
            return _month(int(found[1]), int(found[2]), zone)
    except (
        ValueError,
        OverflowError,
    ):  # there is no such month, or an edge of it is outside the years that a date can have
        pass
    raise BadValue(name="--month", value=text, expected="a month such as 2026-10")


def month_of(now: datetime, zone: tzinfo, *, months_ago: int = 0) -> Period:
    """The calendar month that includes an instant, or an earlier one."""
    today = now.astimezone(zone)
    year, month = divmod(today.year * 12 + today.month - 1 - months_ago, 12)
    return _month(year, month + 1, zone)


def week_of(now: datetime, zone: tzinfo, *, weeks_ago: int = 0) -> Period:
    """The week, from Monday to Sunday as in ISO 8601, that includes an instant, or an earlier one."""
    today = now.astimezone(zone).date()
    monday = today - timedelta(days=today.weekday() + 7 * weeks_ago)
    return Period(midnight(monday, zone), midnight(monday + timedelta(days=7), zone), zone)


def _month(year: int, month: int, zone: tzinfo) -> Period:
    after = divmod(year * 12 + month, 12)
    return Period(midnight(date(year, month, 1), zone), midnight(date(after[0], after[1] + 1, 1), zone), zone)


def midnight(day: date, zone: tzinfo) -> datetime:
    """The instant, in UTC, at which a day begins in a zone. Raises ValueError outside the years 1 to 9999."""
    return as_utc(datetime(day.year, day.month, day.day, tzinfo=zone))


def _local_text(instant: datetime, zone: tzinfo) -> str:
    try:
        local = instant.astimezone(zone)
    except OverflowError:  # on the first or the last day that a date can have
        local = instant
    return local.strftime("%Y-%m-%d %H:%M" if not local.second else "%Y-%m-%d %H:%M:%S").rjust(16, "0")


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


def chosen_period(
    named: Mapping[str, str | bool | None], since: str | None, until: str | None, now: datetime, zone: tzinfo
) -> Period:
    """The period of the options. `named` has the values of those that name a calendar period, of which one may be given.

    Raises BadValue and WrongUse.
    """
    given = [option for option, value in named.items() if value]
    others = [option for option, value in (("--since", since), ("--until", until)) if value is not None]
    if given and len(given) + len(others) > 1:
        one, other = [*given, *others][:2]
        raise WrongUse(what=f"{one} and {other} cannot be combined.", hint=f"Remove {one} or {other}.")
    match given:
        case ["--month"]:
            return read_month(str(named["--month"]), zone)
        case ["--last-month"]:
            return month_of(now, zone, months_ago=1)
        case ["--this-month"]:
            return month_of(now, zone)
        case ["--last-week"]:
            return week_of(now, zone, weeks_ago=1)
        case ["--this-week"]:
            return week_of(now, zone)
    return read_period(since, until, now, zone)
