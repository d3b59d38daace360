"""Instants in one canonical text form, read from the many forms in stores and journals.

The canonical form is ISO 8601 in UTC with six digits of microseconds and `+00:00`
(`2026-03-02T11:41:00.195769+00:00`). It sorts as text, and keeps the microseconds that a BSON date would lose.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo

from chatstore_cli.domain.errors import BadValue

Clock = Callable[[], datetime]
"""Returns the current instant, aware, in UTC. It is passed in, so that tests can stop time."""

_CANONICAL_LENGTH = len("2026-03-02T11:41:00.195769+00:00")
_AGO = re.compile(r"(\d{1,6})\s*([smhdw])")
_END_OF_DAY = re.compile(r"(\d{4}-?\d\d-?\d\d)[T ]24:?00(?::?00(?:[.,]0+)?)?(Z|[+-].*)?")
_FINER_THAN_MICROSECONDS = re.compile(r"[.,]\d{6}0*[1-9]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST_SECONDS, FIRST_MILLISECONDS, LAST_MILLISECONDS = 1e8, 1e11, 253_402_300_799_999
"""Numbers from 1973 to the year 5138 are seconds, and larger ones are milliseconds to the end of the year 9999."""
_AGO_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def canonical_instant(text: str) -> str:
    """The canonical form of an ISO 8601 text; a time without an offset is in UTC.

    Raises ValueError if the text is not such a time, or lies outside the years 1 to 9999 in UTC.
    """
    moment = datetime.fromisoformat(text)
    if is_canonical(text):
        return text
    return format_instant(moment)


def recorded_instant(value: object) -> tuple[str, bool]:
    """The canonical form of a time in any form that recorders write, and whether digits after microseconds were cut.

    ISO 8601 text, also with a lower-case `z` or as `24:00`; epoch seconds or milliseconds; MongoDB's extended JSON
    (`{"$date": ...}`). Raises ValueError for anything else.
    """
    if isinstance(value, dict) and set(value) == {"$date"}:
        inner = value["$date"]
        if isinstance(inner, dict) and set(inner) == {"$numberLong"} and isinstance(inner["$numberLong"], str):
            inner = int(inner["$numberLong"])
        if isinstance(inner, int) and not isinstance(inner, bool):
            return format_instant(_EPOCH + timedelta(milliseconds=inner)), False
        value = inner
    if isinstance(value, str):
        text = value.strip().upper()
        was_cut = _FINER_THAN_MICROSECONDS.search(text) is not None
        if match := _END_OF_DAY.fullmatch(text):
            start = datetime.fromisoformat(f"{match[1]}T00:00:00{match[2] or ''}")
            return format_instant(as_utc(start) + timedelta(days=1)), was_cut
        return canonical_instant(text), was_cut
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("not a time")
    return format_instant(_since_1970(value)), False


def _since_1970(number: float) -> datetime:
    """The instant of epoch seconds or milliseconds. Raises ValueError for a number that is neither."""
    if not EARLIEST_SECONDS <= number <= LAST_MILLISECONDS:
        raise ValueError("not a time in seconds or milliseconds")
    return datetime.fromtimestamp(number / 1000 if number >= FIRST_MILLISECONDS else number, UTC)


def is_canonical(text: str) -> bool:
    """Whether an ISO 8601 text that `datetime.fromisoformat` accepts is in the canonical form.

    Week dates (`2026-W10-1T...`), commas and times without colons can have the same length.
    """
    return (
        len(text) == _CANONICAL_LENGTH
        and text[10] == "T"
        and text[19] == "."
        and text[26:] == "+00:00"
        and text[5] != "W"
        and text[11:13] != "24"
    )


def format_instant(moment: datetime) -> str:
    """The canonical form of a datetime; a naive one is in UTC. Raises ValueError outside the years 1 to 9999."""
    return as_utc(moment).isoformat(timespec="microseconds")


def as_utc(moment: datetime) -> datetime:
    """The same instant, aware, in UTC; a naive one is in UTC."""
    if moment.tzinfo is None:
        return datetime.combine(moment, moment.time(), UTC)  # six times as fast as replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("outside the years 1 to 9999 in UTC") from error


def read_instant(value: object) -> datetime | None:
    """The instant of a datetime, an ISO 8601 text, or epoch seconds or milliseconds; None for anything else.

    Texts and numbers are read as `recorded_instant` reads them.
    """
    try:
        if isinstance(value, datetime):
            return as_utc(value)
        if isinstance(value, str):
            return _read_text(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _since_1970(value)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def _read_text(text: str) -> datetime:
    try:
        return as_utc(datetime.fromisoformat(text))
    except ValueError:
        return datetime.fromisoformat(recorded_instant(text)[0])


def rfc3339(moment: datetime | None) -> str | None:
    """An instant as chatstore prints it: RFC 3339 in UTC with `Z`, microseconds only if there are any."""
    if moment is None:
        return None
    return as_utc(moment).isoformat().replace("+00:00", "Z")


def read_when(text: str, name: str, now: datetime, zone: tzinfo = UTC) -> datetime:
    """The instant of `--since` or `--until`: `7d`, `24h`, `1w`, `today`, `yesterday`, `now` or ISO 8601.

    `today` and `yesterday` begin at midnight in `zone`, and a time without an offset is in `zone`. Raises BadValue that
    names the option.
    """
    word = text.strip().lower()
    midnight = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    named = {"now": as_utc(now), "today": as_utc(midnight), "yesterday": as_utc(midnight - timedelta(days=1))}
    if word in named:
        return named[word]
    try:
        if match := _AGO.fullmatch(word):
            return as_utc(now) - timedelta(**{_AGO_UNITS[match[2]]: int(match[1])})
        moment = datetime.fromisoformat(text.strip())
        return as_utc(moment if moment.tzinfo is not None else moment.replace(tzinfo=zone))
    except (ValueError, OverflowError) as error:
        expected = "a time: 7d, 24h, 1w, yesterday, or ISO 8601 such as 2026-03-02 or 2026-03-02T11:41:00Z"
        raise BadValue(name=name, value=text, expected=expected) from error


def utc_now() -> datetime:
    """The current instant of the system clock, in UTC."""
    return datetime.now(UTC)


def to_milliseconds(instant: datetime) -> datetime:
    """The instant, rounded down to a whole millisecond."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)
