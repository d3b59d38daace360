"""Times as tables show them: in the reader's zone, or relative to now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

_UNITS = ((365 * 86400, "y"), (86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True, slots=True)
class TimeDisplay:
    """How a table shows times: in a zone, or with `now` as the distance from it, such as `3 h ago`."""

    zone: tzinfo = UTC
    now: datetime | None = None

    def title(self, title: str) -> str:
        """The title of a column of times, with the zone. A relative time has none."""
        return title if self.now is not None else f"{title} ({self.zone})"

    def text(self, value: Any) -> str:
        """An RFC 3339 time without fractions of a second; empty for None, and other text as it is."""
        if value is None:
            return ""
        text = str(value)
        if self.now is None and self.zone is UTC:
            return f"{text[:10]} {text[11:19]}" if text[10:11] == "T" else text
        moment = _instant(text)
        if moment is None:
            return text
        return self.local(moment).strftime("%Y-%m-%d %H:%M:%S") if self.now is None else distance(moment, self.now)

    def day(self, value: Any) -> str:
        """The date of an RFC 3339 time, or its distance from now; empty for None, and other text as it is."""
        return self.text(value)[:10] if self.now is None else self.text(value)

    def local(self, moment: datetime) -> datetime:
        """The instant in the zone."""
        try:
            return moment.astimezone(self.zone)
        except OverflowError:  # on the first or the last day that a date can have
            return moment


IN_UTC = TimeDisplay()


def distance(moment: datetime, now: datetime) -> str:
    """How long ago an instant was, or how far ahead it is, in its largest unit: `now`, `5 min ago`, `in 3 d`."""
    seconds = int((now - moment).total_seconds())
    for size, unit in _UNITS:
        if abs(seconds) >= size:
            amount = f"{abs(seconds) // size} {unit}"
            return f"{amount} ago" if seconds > 0 else f"in {amount}"
    return "now"


def _instant(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
