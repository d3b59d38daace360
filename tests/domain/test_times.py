"""Instants in stored documents, and in `--since` and `--until`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from chatstore_cli.domain.times import read_instant, read_when, recorded_instant

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("word", "now", "begins"),
    [
        ("today", "2026-03-30T22:30Z", "2026-03-30T22:00Z"),
        ("today", "2026-03-29T12:00Z", "2026-03-28T23:00Z"),
        ("yesterday", "2026-03-30T12:00Z", "2026-03-28T23:00Z"),
        ("yesterday", "2026-10-26T12:00Z", "2026-10-24T22:00Z"),
    ],
    ids=["after midnight in the zone", "the clocks change", "yesterday had 23 hours", "yesterday had 25 hours"],
)
def test_a_day_begins_at_midnight_in_the_zone(word: str, now: str, begins: str) -> None:
    assert read_when(word, "--since", datetime.fromisoformat(now), BERLIN) == datetime.fromisoformat(begins)


def test_a_stored_number_is_seconds_or_milliseconds_since_1970() -> None:
    moment = datetime(2026, 3, 2, 11, 41, tzinfo=UTC)
    seconds = int(moment.timestamp())
    assert [read_instant(number) for number in (seconds, float(seconds), seconds * 1000)] == [moment] * 3
    assert read_instant(seconds * 1000 + 250) == moment + timedelta(milliseconds=250)


@pytest.mark.parametrize("number", [0, -1, True, 1e300, float("nan")])
def test_a_stored_number_that_is_not_a_time_is_read_as_none(number: float) -> None:
    assert read_instant(number) is None


@pytest.mark.parametrize(
    "value",
    [
        "2026-03-02t11:41:00z", "2026-03-01T24:00:00Z", "20260302T114100Z", " 2026-03-02 ", "2026-03-02T11:41:00.1234567Z",
        1_772_450_000, 1_772_450_000.5, 1_772_450_000_123, 1e8, 1e11, 253_402_300_799_999, 99_999_999, 253_402_300_800_000,
        "Mon, 02 Mar 2026 11:41:00 GMT", "5", "", -5,
    ],
)  # fmt: skip
def test_a_stored_time_is_read_as_a_recorded_one(value: object) -> None:
    try:
        recorded = datetime.fromisoformat(recorded_instant(value)[0])
    except ValueError:
        recorded = None
    assert read_instant(value) == recorded
