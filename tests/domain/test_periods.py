"""Periods are half-open. A day that `--until` names is included."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from chatstore_cli.domain.errors import BadValue, WrongUse
from chatstore_cli.domain.periods import Period, midnight, read_period

NOW = datetime(2026, 3, 10, 15, 30, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def test_both_ends_can_be_omitted() -> None:
    assert read_period(None, None, NOW) == Period()
    assert read_period("1w", None, NOW) == Period(NOW - timedelta(weeks=1))
    assert read_period(None, "24h", NOW) == Period(None, NOW - timedelta(days=1))


@pytest.mark.parametrize(
    ("until", "end"),
    [
        ("2026-03-09", "2026-03-10T00:00+01:00"),
        ("20260309", "2026-03-10T00:00+01:00"),
        ("2026-W11-1", "2026-03-10T00:00+01:00"),
        ("today", "2026-03-11T00:00+01:00"),
        (" Yesterday ", "2026-03-10T00:00+01:00"),
        ("2026-03-28", "2026-03-29T00:00+01:00"),
        ("2026-03-29", "2026-03-30T00:00+02:00"),
        ("2026-03-09T00:00", "2026-03-09T00:00+01:00"),
        ("2026-03-09T00:00Z", "2026-03-09T00:00+00:00"),
        ("now", "2026-03-10T15:30+00:00"),
        ("2h", "2026-03-10T13:30+00:00"),
    ],
)
def test_a_day_is_included_and_a_time_is_exact(until: str, end: str) -> None:
    assert read_period(None, until, NOW, BERLIN).until == datetime.fromisoformat(end)


def test_one_day_is_a_period() -> None:
    day = read_period("2026-03-29", "2026-03-29", NOW, BERLIN)
    assert day.since is not None
    assert day.until is not None
    assert day.until - day.since == timedelta(hours=23)
    assert day.to_dict() == {
        "since": "2026-03-28T23:00:00Z",
        "until": "2026-03-29T22:00:00Z",
        "timezone": "Europe/Berlin",
    }


def test_a_day_without_midnight_begins_at_its_first_instant() -> None:
    zone = ZoneInfo("America/Santiago")  # the clocks go from 24:00 to 01:00
    assert midnight(date(2026, 9, 6), zone) == datetime(2026, 9, 6, 4, tzinfo=UTC)


@pytest.mark.parametrize(("since", "until"), [("1d", "7d"), ("2026-03-02", "2026-03-01"), ("now", "yesterday")])
def test_a_period_without_duration_is_rejected_and_the_error_names_both_ends(since: str, until: str) -> None:
    with pytest.raises(WrongUse) as refused:
        read_period(since, until, NOW)
    assert f"--since {since} (" in refused.value.message
    assert f"--until {until} (" in refused.value.message


def test_text_that_is_not_a_time_is_reported_first() -> None:
    with pytest.raises(BadValue, match="--until: 'soon'"):
        read_period("7d", "soon", NOW)


def test_the_last_day_of_all_has_no_end() -> None:
    with pytest.raises(BadValue, match="a day before the end of the year 9999"):
        read_period(None, "9999-12-31", NOW)
