"""Time zones by name, as `--timezone` and `chatstore.timezone` have them."""

from __future__ import annotations

import re
from datetime import UTC, tzinfo
from functools import cache

_OFFSET = re.compile(r"(utc|gmt|z)?\s*[+-]\s*\d.*", re.IGNORECASE)
_EXAMPLE = "use a name such as Europe/Berlin"


def time_zone(name: str) -> tzinfo:
    """The time zone of that name, which may be in any case. Raises ValueError, which suggests similar names."""
    if name.upper() == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    known = {zone.lower(): zone for zone in zone_names()}
    spelled = known.get(name.lower())
    if spelled is not None:
        return ZoneInfo(spelled)
    if _OFFSET.fullmatch(name):
        raise ValueError(f"{name!r} is an offset, not a time zone: {_EXAMPLE}.")
    similar = _similar(name, known)
    hint = (
        f"did you mean {' or '.join(similar)}?"
        if similar
        else f"{_EXAMPLE} (the Python package tzdata has all of them)."
    )
    raise ValueError(f"{name!r} is not in this machine's table of time zones: {hint}")


@cache
def zone_names() -> tuple[str, ...]:
    """The names of this machine's table. Reading it takes some 20 ms, so it is read once."""
    from zoneinfo import available_timezones

    return tuple(sorted(available_timezones()))


def _similar(name: str, known: dict[str, str]) -> list[str]:
    """At most two zones: those of that city, else those with a similar name."""
    from difflib import get_close_matches

    city = name.lower().replace(" ", "_")
    city_zones = sorted(zone for lower, zone in known.items() if lower.rpartition("/")[2] == city)
    return (city_zones or [known[lower] for lower in get_close_matches(name.lower(), known, n=1, cutoff=0.8)])[:2]
