"""Periods are half-open. A day that `--until` names is included."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from chatstore_cli.domain.errors import BadValue, WrongUse
from chatstore_cli.domain.periods import Period, midnight, month_of, read_month, read_period, week_of

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


@pytest.mark.parametrize(
    ("month", "zone", "since", "until"),
    [
        ("2026-10", "UTC", "2026-10-01T00:00Z", "2026-11-01T00:00Z"),
        ("2026-12", "UTC", "2026-12-01T00:00Z", "2027-01-01T00:00Z"),
        ("2028-02", "UTC", "2028-02-01T00:00Z", "2028-03-01T00:00Z"),
        ("2026-10", "Europe/Berlin", "2026-09-30T22:00Z", "2026-10-31T23:00Z"),
        ("2026-04", "Pacific/Auckland", "2026-03-31T11:00Z", "2026-04-30T12:00Z"),
        ("2026-03", "America/St_Johns", "2026-03-01T03:30Z", "2026-04-01T02:30Z"),
    ],
)
def test_a_month_begins_and_ends_at_midnight_of_the_zone(month: str, zone: str, since: str, until: str) -> None:
    edges = Period(datetime.fromisoformat(since), datetime.fromisoformat(until), ZoneInfo(zone))
    period = read_month(month, edges.zone)
    assert (period.since, period.until) == (edges.since, edges.until)
    assert edges.since is not None
    assert edges.until is not None
    for now in (edges.since, edges.until - timedelta(milliseconds=1)):
        assert month_of(now, edges.zone) == period
    assert month_of(edges.until, edges.zone, months_ago=1) == period
    assert month_of(edges.since, edges.zone, months_ago=1).until == edges.since
    assert month_of(edges.since, edges.zone, months_ago=24).since is not None


@pytest.mark.parametrize(
    "text", ["2026", "2026-13", "2026-00", "26-10", "2026-1", "october", "", "0000-01", "9999-12", "²026-10"]
)
def test_what_is_not_a_month_is_rejected(text: str) -> None:
    with pytest.raises(BadValue, match=r"--month: .* is not a month such as 2026-10"):
        read_month(text, ZoneInfo("Pacific/Auckland"))


def test_a_week_begins_on_monday_also_across_a_year_and_a_change_of_clocks() -> None:
    sunday = datetime(2027, 1, 3, 23, 30, tzinfo=BERLIN)
    this = week_of(sunday, BERLIN)
    assert this == Period(datetime(2026, 12, 27, 23, tzinfo=UTC), datetime(2027, 1, 3, 23, tzinfo=UTC), BERLIN)
    assert week_of(sunday, BERLIN, weeks_ago=1).until == this.since
    spring = week_of(datetime(2026, 3, 29, 12, tzinfo=UTC), BERLIN)
    assert spring.since is not None
    assert spring.until is not None
    assert spring.until - spring.since == timedelta(days=7, hours=-1)


def test_a_period_is_described_in_its_zone() -> None:
    assert read_month("2026-10", BERLIN).as_text() == "2026-10-01 00:00 to 2026-11-01 00:00 (Europe/Berlin)"
    assert Period().as_text() == "all times (UTC)"
    assert (
        read_period("24h", None, NOW.replace(second=5), BERLIN).as_text() == "from 2026-03-09 16:30:05 (Europe/Berlin)"
    )
    assert read_period(None, "2026-03-09", NOW).as_text() == "until 2026-03-10 00:00 (UTC)"
    assert Period(datetime(1, 1, 1, tzinfo=UTC), None, ZoneInfo("America/Lima")).as_text().startswith("from 0001-01-01")
