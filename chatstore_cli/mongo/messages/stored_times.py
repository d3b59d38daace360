"""Stored times of flat messages: ISO 8601 text in any form, BSON dates, or numbers of seconds or milliseconds since 1970.

An index sorts values by type first, then by value. So each kind of time has a range of its own, in which the index order
is that of the instants. Texts in one form sort as their instants do; texts in UTC with `Z`, `+00:00` or no offset do so
except within one second. A value outside the ranges, or a text in them that is not a time, has no instant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import Enum
from math import nan
from typing import Any, NamedTuple

from chatstore_cli.domain.times import EARLIEST_SECONDS, FIRST_MILLISECONDS, LAST_MILLISECONDS, as_utc
from chatstore_cli.mongo.bson_values import stored_instant

EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)
SECOND = timedelta(seconds=1)
LONGEST_SPREAD = timedelta(hours=48)
"""How far apart two texts of the same instant can sort: an offset from UTC is below 24 hours in each direction."""


class Range(Enum):
    """The ranges of stored times. Each value is the condition on `created_at`; that of TEXT is: begins with a digit."""

    TEXT = (("$gte", "0"), ("$lt", ":"))
    DATE = (("$gte", EARLIEST), ("$lte", LATEST))
    SECONDS = (("$gte", EARLIEST_SECONDS), ("$lt", FIRST_MILLISECONDS))
    MILLISECONDS = (("$gte", FIRST_MILLISECONDS), ("$lte", LAST_MILLISECONDS))

    @property
    def condition(self) -> dict[str, Any]:
        """The condition on `created_at`."""
        return dict(self.value)

    def up_to(self, moment: datetime, ahead: timedelta) -> dict[str, Any]:
        """The condition, limited to instants up to the moment's second. `ahead`: how far texts sort after their instants."""
        (first, least), (last, most) = self.value
        try:
            limit: Any = moment + SECOND
            if self is Range.TEXT:
                limit = (limit + ahead).isoformat()[:19]
        except OverflowError:
            return self.condition
        if self in (Range.SECONDS, Range.MILLISECONDS):
            limit = limit.timestamp() * (1000 if self is Range.MILLISECONDS else 1)
        return {first: least, last: min(limit, most)}

    def value_at(self, moment: datetime) -> Any:
        """The stored value of an instant; for a text its second in UTC."""
        if self is Range.TEXT:
            return moment.astimezone(UTC).isoformat()[:19]
        if self is Range.DATE:
            return moment
        return moment.timestamp() * (1000 if self is Range.MILLISECONDS else 1)


NO_TIME: tuple[dict[str, Any], ...] = (
    {"created_at": None},
    {"created_at": {"$eq": []}},
    {"created_at": {"$type": [
        "minKey", "object", "binData", "objectId", "bool", "regex", "timestamp", "maxKey", "undefined", "dbPointer",
        "javascript", "javascriptWithScope",
    ]}},
    {"created_at": {"$gte": "", "$lt": "0"}},
    {"created_at": {"$gte": ":"}},
    {"created_at": {"$lt": EARLIEST_SECONDS}},
    {"created_at": {"$gt": LAST_MILLISECONDS}},
    {"created_at": {"$eq": nan}},
    {"created_at": {"$type": "date", "$lt": EARLIEST}},
    {"created_at": {"$type": "date", "$gt": LATEST}},
)  # fmt: skip
"""The same as conditions that an index serves. An array meets those of its elements, and may be in the ranges too."""

OTHER_TIMES: dict[str, Any] = {
    "$or": [{"created_at": {"$type": "array"}}, {"$nor": [{"created_at": each.condition} for each in Range]}]
}
"""The condition for documents whose time is in no range."""


def listed_instant(value: Any) -> datetime | None:
    """The instant of a stored time if it is in one of the ranges. A text that begins with a space is not."""
    return None if isinstance(value, str) and not "0" <= value < ":" else stored_instant(value)


def range_of(value: Any) -> Range | None:
    """The range of a stored time; None for a value that is in none, or has no instant."""
    if listed_instant(value) is None:
        return None
    if isinstance(value, str):
        return Range.TEXT
    if isinstance(value, datetime):
        return Range.DATE
    return Range.MILLISECONDS if float(str(value)) >= FIRST_MILLISECONDS else Range.SECONDS


# --- texts -----------------------------------------------------------------------------------------------------------

_IN_UTC = re.compile(r"....-..-..(.)..:..:..(?:\.\d+)?(?:Z|\+00:00)?")
ISO_TEXT = re.compile(
    r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
    r"(.([01]\d|2[0-4]):[0-5]\d(:[0-5]\d([.,]\d+)?)?([Zz]|[+-]\d\d:?\d\d)?)?$"
)
"""The pattern of almost all texts that are times. The server matches it, too."""
_EXTENDED = re.compile(r"\d{4}-\d\d-\d\d")


class TextForm(NamedTuple):
    """What decides how texts sort relative to their instants: `2026-03-02` or `20260302`, `T` or a space, the offset."""

    is_extended: bool
    separator: str
    offset: timedelta


def text_form(value: str) -> TextForm:
    """The form of a stored text."""
    if match := _IN_UTC.fullmatch(value):
        return TextForm(True, match[1], timedelta())
    is_extended = _EXTENDED.match(value) is not None
    return TextForm(is_extended, value[10:11] if is_extended else value[8:9], utc_offset(value))


def spread_of(forms: Iterable[TextForm]) -> timedelta:
    """How far the order of texts in these forms and of other times may differ from that of their instants."""
    known = list(forms)
    offsets = [timedelta(), *(form.offset for form in known)]
    spread = SECOND + max(offsets) - min(offsets)
    if len({form.separator for form in known if form.separator}) > 1:
        spread += timedelta(days=1)
    if len({form.is_extended for form in known}) > 1:
        spread += timedelta(days=366)
    return spread


def near(value: str, *, newest: bool) -> dict[str, Any]:
    """The condition for texts that may be newer (or older) than the last (or first) text of a session."""
    if _EXTENDED.match(value):
        try:
            day = datetime.fromisoformat(value[:10])
            if newest:
                return {**Range.TEXT.condition, "$gte": (day - LONGEST_SPREAD).isoformat()[:10]}
            return {**Range.TEXT.condition, "$lt": (day + LONGEST_SPREAD + timedelta(days=1)).isoformat()[:10]}
        except (ValueError, OverflowError):
            pass
    return Range.TEXT.condition


def utc_offset(value: Any) -> timedelta:
    """The offset from UTC of a stored text; zero for a date, for UTC, and for text that is not a time."""
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value).utcoffset() or timedelta()
        except ValueError:
            pass
    return timedelta()


def is_to_the_second(text: str) -> bool:
    """Whether a stored text is a time in UTC with its seconds, so that its first 19 characters are those of its second.

    Texts such as `2026-03-02`, `2026-03-02T10:00`, `20260302T100000Z`, `2026-03-02T24:00:00` or with an offset are not.
    """
    return _IN_UTC.fullmatch(text) is not None and text[11:13] != "24"


def form_of(value: Any) -> object:
    """The form of a stored time. Stored times of equal forms sort as their seconds do."""
    if not isinstance(value, str):
        return range_of(value) or type(value)
    if match := _IN_UTC.fullmatch(value):
        return match[1]
    return value[10:11], len(value), utc_offset(value)


def second_of(value: Any) -> object:
    """The second of a stored time. Within one second the stored order may differ from the order of instants."""
    if value.__class__ is str:
        return value[:19]
    return as_utc(value).replace(microsecond=0) if isinstance(value, datetime) else value
