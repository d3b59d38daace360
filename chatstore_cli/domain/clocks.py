"""The difference between two clocks: the tolerance, and the words for it."""

from __future__ import annotations

from datetime import datetime, timedelta

from chatstore_cli.domain.times import rfc3339

TOLERANCE = timedelta(minutes=5)
"""Two clocks that differ by more than this are reported, and a time that is further ahead of a clock is not believed."""

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def rough_duration(duration: timedelta) -> str:
    """A duration in its largest unit, without a sign: "60 days", "1 hour"."""
    seconds = round(abs(duration).total_seconds())
    unit, size = next((pair for pair in _UNITS if seconds >= pair[1]), _UNITS[-1])
    number = round(seconds / size)
    return f"{number:,} {unit}{'' if number == 1 else 's'}"


def differing_clocks(local: datetime, server: datetime) -> str | None:
    """The warning that this machine's clock and the server's differ; None within the tolerance."""
    if abs(local - server) <= TOLERANCE:
        return None
    here, there = (rfc3339(moment.replace(microsecond=0)) for moment in (local, server))
    direction = "behind" if local < server else "ahead of"
    return (
        f"The clock of this machine ({here}) is {rough_duration(local - server)} {direction} the server's ({there}). "
        "Correct the clock that is wrong: messages expire by the server's, and get their own times from this machine's."
    )
