"""What a deletion covers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore_cli.domain.identity import identity_by_message_id, session_prefix
from chatstore_cli.domain.journal import Entry
from chatstore_cli.domain.message import read_reply_to
from chatstore_cli.domain.times import format_instant
from chatstore_cli.domain.tombstones import Tombstone, deletion_instant, is_covered

DELETED_AT = datetime(2026, 3, 2, 11, 41, 0, 195000, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
TIMES = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis takes the zone beside it


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


BEFORE, AFTER = (format_instant(moment) for moment in (DELETED_AT, DELETED_AT + MICROSECOND))


@pytest.mark.parametrize(
    ("fields", "covered"),
    [
        ({}, False),
        ({"reply_to": "asked"}, False),
        ({"reply_to_at": BEFORE}, True),
        ({"reply_to": "asked", "reply_to_at": BEFORE}, True),
        ({"reply_to": "asked", "reply_to_at": AFTER}, False),
        ({"reply_to": "listed", "reply_to_at": AFTER}, True),
        ({"reply_to": 5, "reply_to_at": AFTER}, False),
        ({"reply_to": "\ud800", "reply_to_at": AFTER}, False),
        ({"reply_to": "listed", "reply_to_at": "yesterday"}, False),
        ({"reply_to": "listed", "reply_to_at": {"id": 1}}, False),
    ],
)
def test_an_answer_is_covered_if_the_message_that_it_answers_is(fields: dict[str, Any], covered: bool) -> None:
    listed = identity_by_message_id(session_prefix("s1"), "s1", "listed")
    tombstone = Tombstone(DELETED_AT, frozenset({listed}))
    assert tombstone.covers_answer("s1", read_reply_to(fields)) is covered
    line = {"session_id": "s1", "role": "assistant", "text": "x", "created_at": AFTER, **fields}
    assert is_covered({"s1": tombstone}, Entry("j", "new", b"", AFTER, line, 1, 0, b"")) is covered
    assert read_reply_to({}) is None


@given(TIMES)
def test_a_deletion_covers_what_was_recorded_in_its_millisecond_and_a_date_can_hold_its_time(now: datetime) -> None:
    deleted_at = deletion_instant(now)
    assert deleted_at.microsecond % 1000 == 0
    assert timedelta(0) <= deleted_at - now < timedelta(milliseconds=1)
    assert Tombstone(deleted_at).covers(now, "x")
