"""The fields of a journal line that can be stored, and the reasons for a line that cannot."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chatstore_cli.domain.journal import flaw_of, is_plain, may_have_lost_digits
from chatstore_cli.domain.message import ROLES
from chatstore_cli.domain.storable_values import Alterations
from chatstore_cli.domain.times import canonical_instant
from tests.support.journals import instant, record

FORMS = "write ISO 8601 such as 2026-03-02T11:41:00.195Z, or epoch seconds or milliseconds"


@pytest.mark.parametrize(
    ("created_at", "instant", "was_cut"),
    [
        ("2026-03-02T11:41:00z", "2026-03-02T11:41:00.000000+00:00", False),
        ("2026-03-02t11:41:00.5z", "2026-03-02T11:41:00.500000+00:00", False),
        ("2026-03-02T24:00:00Z", "2026-03-03T00:00:00.000000+00:00", False),
        ("2026-03-02 24:00+02:00", "2026-03-02T22:00:00.000000+00:00", False),
        (1772451660, "2026-03-02T11:41:00.000000+00:00", False),
        (1772451660.25, "2026-03-02T11:41:00.250000+00:00", False),
        (1772451660195, "2026-03-02T11:41:00.195000+00:00", False),
        ({"$date": "2026-03-02T11:41:00.195Z"}, "2026-03-02T11:41:00.195000+00:00", False),
        ({"$date": {"$numberLong": "1772451660195"}}, "2026-03-02T11:41:00.195000+00:00", False),
        ({"$date": -1}, "1969-12-31T23:59:59.999000+00:00", False),
        ("2026-03-02T11:41:00.1957691Z", "2026-03-02T11:41:00.195769+00:00", True),
        ("2026-03-02T11:41:00.195769000Z", "2026-03-02T11:41:00.195769+00:00", False),
    ],
)
def test_a_time_is_read_in_every_form_that_recorders_write(created_at: Any, instant: str, was_cut: bool):
    fields = record(1, created_at=created_at)
    alterations = Alterations()
    assert flaw_of(fields, alterations) is None
    assert fields["created_at"] == instant
    assert alterations.kinds() == (("a time with more than six digits of a second, which were cut",) if was_cut else ())


@pytest.mark.parametrize(
    ("changes", "flaw"),
    [
        ({"session_id": None}, 'no "session_id"'),
        ({"role": None}, 'no "role"'),
        ({"text": None}, 'no "text"'),
        ({"created_at": None}, 'no "created_at"'),
        ({"session_id": 7}, "session_id is a number, not text"),
        ({"session_id": ""}, "session_id is empty"),
        ({"role": ["user"]}, "role is a list, not text"),
        ({"role": "narrator"}, "unknown role 'narrator'"),
        ({"role": "USER"}, """unknown role 'USER'; it may mean "user\""""),
        ({"role": "bot"}, """unknown role 'bot'; it may mean "assistant\""""),
        ({"text": None, "content": "x"}, 'no "text"; the line has "content"'),
        ({"session_id": None, "sessionId": "s"}, 'no "session_id"; the line has "sessionId"'),
        ({"created_at": None, "Timestamp": 7}, 'no "created_at"; the line has "Timestamp"'),
        ({"role": None, "Role": "user"}, 'no "role"; the line has "Role"'),
        ({"text": {"parts": []}}, "text is an object, not text"),
        ({"text": False}, "text is true or false, not text"),
        ({"created_at": 17}, f"created_at 17 is not a time: {FORMS}"),
        ({"created_at": 1772451660000000}, f"created_at 1772451660000000 is not a time: {FORMS}"),
        ({"created_at": True}, f"created_at True is not a time: {FORMS}"),
        ({"created_at": {"$date": "noon"}}, f"created_at {{'$date': 'noon'}} is not a time: {FORMS}"),
        ({"created_at": "yesterday"}, f"created_at 'yesterday' is not a time: {FORMS}"),
        ({"created_at": "2026-02-30T00:00:00"}, f"created_at '2026-02-30T00:00:00' is not a time: {FORMS}"),
        ({"created_at": "0001-01-01T00:00:00+05:00"}, f"created_at '0001-01-01T00:00:00+05:00' is not a time: {FORMS}"),
        ({"metadata": "x"}, "metadata is text, not an object"),
        ({"vector_ids": {}}, "vector_ids is an object, not a list"),
        ({"message_id": 5}, "message_id is not text"),
        ({"message_id": ""}, "message_id is empty"),
    ],
)
def test_each_flaw_is_named(changes: dict[str, Any], flaw: str):
    fields = {name: value for name, value in (record(1) | changes).items() if value is not None}
    assert not is_plain(fields)
    assert flaw_of(fields) == flaw


def test_an_answer_as_the_cache_writes_it_is_plain_and_any_other_is_read_with_care():
    answer = record(1, message_id="m", reply_to="q", reply_to_at=instant(0))
    assert is_plain(answer)
    for other in ({"reply_to": 5}, {"reply_to_at": None}, {"message_id": ""}):
        assert not is_plain(answer | other)
    answer["other"] = answer.pop("reply_to")
    assert not is_plain(answer)
    assert flaw_of(answer) is None


@pytest.mark.parametrize("value", [None, 1, 2.5, "text", True, [], [record(1)]])
def test_only_an_object_can_be_a_line(value: object):
    assert not is_plain(value)
    assert flaw_of(value) == "not a JSON object"


def test_what_may_be_missing_is_filled_in():
    fields = record(1, metadata=None, vector_ids=None) | {"message_id": None}
    assert flaw_of(fields) is None
    assert (fields["metadata"], fields["vector_ids"]) == ({}, [])
    assert "message_id" not in fields


days = st.dates(min_value=date(1, 1, 2), max_value=date(9999, 12, 30))
moments = st.builds(lambda day, clock: datetime.combine(day, clock, UTC), days, st.times())
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(moments, st.data())
def test_an_instant_has_one_canonical_form_however_it_is_written(moment: datetime, data: st.DataObject):
    canonical = moment.isoformat(timespec="microseconds")
    local = moment.astimezone(data.draw(zones))
    day, clock = canonical[:10], canonical[11:26]
    iso = moment.isocalendar()
    week = f"{iso.year:04}-W{iso.week:02}-{iso.weekday}"
    assume(iso.year > 0)
    for written in (
        canonical,
        f"{day}T{clock}Z",
        f"{day} {clock}",
        f"{day}T{clock.replace('.', ',')}+00:00",
        f"{day}T{clock.replace(':', '')}99+00:00",
        f"{day.replace('-', '')}T{clock}+00:00",
        f"{week}T{clock}+00:00",
        f"{day}T{clock}+00:00:00",
        local.isoformat(timespec="microseconds"),
    ):
        assert canonical_instant(written) == canonical, written
        fields = record(1, created_at=written)
        assert flaw_of(fields) is None
        assert fields["created_at"] == canonical


@given(st.text(max_size=40))
def test_a_line_is_plain_only_if_its_time_is_canonical(text: str):
    fields = record(1, created_at=text)
    if is_plain(fields):
        assert canonical_instant(text) == text
        assert flaw_of(dict(fields)) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*record(1), "message_id", "other"]), json_values))
def test_a_plain_line_has_no_flaw_and_no_lost_digits(changes: dict[str, Any]):
    fields = record(1) | changes
    if is_plain(fields):
        assert fields["role"] in ROLES
        assert not may_have_lost_digits(fields)
        assert flaw_of(dict(fields)) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"extra": 2**64},
        {"extra": 2**64, "message_id": "m"},
        {"metadata": {"a": [{"b": -(2**70)}]}},
        {"vector_ids": [2**90]},
        {"metadata": {"n": -(2**63) - 1}},
    ],
)
def test_an_integer_over_64_bits_is_suspected_wherever_it_is(changes: dict[str, Any]):
    fields = orjson.loads(json.dumps(record(1) | changes))
    assert not is_plain(fields)
    assert flaw_of(fields) is None
    assert may_have_lost_digits(fields)
