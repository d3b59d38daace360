"""Time zones by their names, as `--timezone` takes them."""

from __future__ import annotations

import re
from datetime import UTC, tzinfo

import typer

_OFFSET = re.compile(r"(utc|gmt|z)?\s*[+-]\s*\d.*", re.IGNORECASE)
_SUCH_AS = "zones have names such as Europe/Berlin"


def time_zone(name: str) -> tzinfo:
    """The zone of that name, in whatever case; its text is the name as the table of time zones spells it.

    Raises BadParameter, with the nearest names where there are any.
    """
    if name.upper() == "UTC":
        return UTC
    from zoneinfo import ZoneInfo, available_timezones

    known = {zone.lower(): zone for zone in available_timezones()}
    spelled = known.get(name.lower())
    if spelled is not None:
        return ZoneInfo(spelled)
    if _OFFSET.fullmatch(name):
        raise typer.BadParameter(f"{name!r} is an offset, and no time zone: {_SUCH_AS}.", param_hint="--timezone")
    near = _nearest(name, known)
    hint = f"did you mean {' or '.join(near)}?" if near else f"{_SUCH_AS} (the Python package tzdata has them all)."
    raise typer.BadParameter(f"{name!r} is no time zone of this machine's table: {hint}", param_hint="--timezone")


def _nearest(name: str, known: dict[str, str]) -> list[str]:
    """Zones of that city, else those whose names are nearly written so."""
    from difflib import get_close_matches

    city = name.lower().replace(" ", "_")
    of_city = sorted(zone for lower, zone in known.items() if lower.rpartition("/")[2] == city)
    return (of_city or [known[lower] for lower in get_close_matches(name.lower(), known, n=1, cutoff=0.8)])[:2]
