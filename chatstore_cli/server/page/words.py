"""Numbers and times as a view shows them. Missing values are a dash, as in the tables of the commands."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any

from chatstore_cli.domain.times import utc_now
from chatstore_cli.render.times import TimeDisplay

NONE = "-"
_STEPS = (
    (timedelta(days=365), "year"),
    (timedelta(days=30), "month"),
    (timedelta(days=1), "day"),
    (timedelta(hours=1), "hour"),
    (timedelta(minutes=1), "minute"),
)


def or_dash(value: Any) -> str:
    """A stored text; a dash if it is missing or empty."""
    return NONE if value in (None, "") else str(value)


def number(value: Any) -> str:
    """A whole number with separators of thousands."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return f"{value:,}" if is_number else or_dash(value)


def cost(value: Any, is_complete: bool) -> str:
    """A cost as the command shows it: what is not known is never left out."""
    if value is None:
        return NONE if is_complete else "unknown"
    return money(value) if is_complete else f"{money(value)} + unknown"


def money(value: Any) -> str:
    """An amount with all its decimal places, at least two."""
    if value is None:
        return NONE
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return str(value)
    if not amount.is_finite():
        return NONE
    whole, _, places = f"{amount:,f}".partition(".")
    places = places.rstrip("0")
    return f"{whole}.{places:0<2}"


@dataclass(frozen=True, slots=True)
class Times:
    """How a view shows instants: in its time zone, and relative to the moment in which it is drawn."""

    zone: tzinfo = UTC
    now: datetime = field(default_factory=utc_now)

    def ago(self, value: Any) -> str:
        """How long ago an instant was, in words; a dash for none."""
        moment = _instant(value)
        if moment is None:
            return or_dash(value)
        passed = self.now - moment
        if passed < timedelta(0):
            return self.exact(value)
        for length, name in _STEPS:
            if passed >= length:
                count = passed // length
                return f"{count} {name}{'s' * (count != 1)} ago"
        return "just now"

    def exact(self, value: Any) -> str:
        """An instant to the second, with its zone: `UTC`, or the distance from it."""
        moment = _instant(value)
        if moment is None:
            return NONE
        local = TimeDisplay(self.zone).local(moment)
        zone = "UTC" if self.zone is UTC else local.isoformat()[-6:]
        return f"{local:%Y-%m-%d %H:%M:%S} {zone}"


def _instant(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
