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
    """At most two zones: those of that city, else those with a similar name, else those of a city with a similar one."""
    from difflib import get_close_matches

    city = name.lower().replace(" ", "_")
    by_city: dict[str, list[str]] = {}
    for lower, zone in sorted(known.items()):
        by_city.setdefault(lower.rpartition("/")[2], []).append(zone)
    if city in by_city:
        return by_city[city][:2]
    close = [known[lower] for lower in get_close_matches(name.lower(), known, n=1, cutoff=0.8)]
    return close or [zone for each in get_close_matches(city, by_city, n=1, cutoff=0.8) for zone in by_city[each]][:2]
