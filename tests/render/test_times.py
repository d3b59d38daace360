"""Times in tables: in the reader's zone, or relative to now."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from chatstore_cli.render.listing import Column
from chatstore_cli.render.times import IN_UTC, TimeDisplay

NOW = datetime(2026, 3, 10, 15, 30, tzinfo=UTC)
BERLIN = TimeDisplay(ZoneInfo("Europe/Berlin"))
RELATIVE = TimeDisplay(UTC, NOW)


@pytest.mark.parametrize(
    ("display", "title", "cell"),
    [
        (IN_UTC, "UPDATED (UTC)", "2026-03-10 14:30:59"),
        (BERLIN, "UPDATED (Europe/Berlin)", "2026-03-10 15:30:59"),
        (RELATIVE, "UPDATED", "59 min ago"),
    ],
)
def test_a_column_of_times_shows_them_to_its_reader(display: TimeDisplay, title: str, cell: str) -> None:
    column = Column("updated_at", "UPDATED", is_time=True).in_times(display)
    assert column.title == title
    assert column.cell({"updated_at": "2026-03-10T14:30:59.999999Z"}) == cell
    assert column.cell({"updated_at": None}) == ""


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        ("2026-03-10T15:30:00Z", "now"),
        ("2026-03-10T15:29:59Z", "1 s ago"),
        ("2026-03-10T13:31:00Z", "1 h ago"),
        ("2026-03-13T15:30:00Z", "in 3 d"),
        ("2019-03-10T15:30:00Z", "7 y ago"),
        ("before the first report", "before the first report"),
    ],
)
def test_a_relative_time_is_in_its_largest_unit(time: str, shown: str) -> None:
    assert RELATIVE.text(time) == shown


def test_a_day_is_that_of_the_zone() -> None:
    assert BERLIN.day("2026-03-10T23:30:00Z") == "2026-03-11"
    assert IN_UTC.day("2026-03-10T23:30:00Z") == "2026-03-10"


def test_the_last_instant_of_all_has_no_other_zone() -> None:
    assert BERLIN.text("9999-12-31T23:59:59Z") == "9999-12-31 23:59:59"
