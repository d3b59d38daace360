"""What a deletion covers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore_cli.domain.tombstones import Tombstone, deletion_instant

DELETED_AT = datetime(2026, 3, 2, 11, 41, 0, 195000, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
TIMES = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("created_at", "identity", "covered"),
    [
        (DELETED_AT - timedelta(days=900), "new", True),
        (DELETED_AT, "new", True),
        (DELETED_AT + MICROSECOND, "new", False),
        (DELETED_AT + MICROSECOND, "listed", True),
        (datetime(2099, 1, 1, tzinfo=UTC), "listed", True),
        (datetime(2099, 1, 1, tzinfo=UTC), "new", False),
        (None, "new", True),
    ],
)
def test_the_time_or_the_id_decides(created_at: datetime | None, identity: str, covered: bool) -> None:
    assert Tombstone(DELETED_AT, frozenset({"listed"})).covers(created_at, identity) is covered


@given(TIMES)
def test_a_deletion_covers_what_was_recorded_in_its_millisecond_and_a_date_can_hold_its_time(now: datetime) -> None:
    deleted_at = deletion_instant(now)
    assert deleted_at.microsecond % 1000 == 0
    assert timedelta(0) <= deleted_at - now < timedelta(milliseconds=1)
    assert Tombstone(deleted_at).covers(now, "x")
