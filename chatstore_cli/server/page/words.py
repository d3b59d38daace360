"""Numbers, amounts and times as a view shows them. Missing values are a dash."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from chatstore_cli.domain.times import utc_now

NONE = "–"
_STEPS = ((timedelta(days=365), "year"), (timedelta(days=30), "month"), (timedelta(days=1), "day"))
_SHORT_STEPS = ((timedelta(hours=1), "hour"), (timedelta(minutes=1), "minute"))


def number(value: Any) -> str:
    """A whole number with separators of thousands."""
    return (
        f"{value:,}"
        if isinstance(value, int) and not isinstance(value, bool)
        else NONE
        if value is None
        else str(value)
    )


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


def ago(value: Any, now: datetime | None = None) -> str:
    """How long ago an instant was, in words; a dash for none."""
    moment = _instant(value)
    if moment is None:
        return NONE if value is None else str(value)
    passed = (now or utc_now()) - moment
    if passed < timedelta(0):
        return exact(value)
    for length, name in (*_STEPS, *_SHORT_STEPS):
        if passed >= length:
            count = passed // length
            return f"{count} {name}{'s' * (count != 1)} ago"
    return "just now"


def exact(value: Any) -> str:
    """An instant to the second, in UTC."""
    moment = _instant(value)
    return NONE if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S UTC")


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
