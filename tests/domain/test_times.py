"""A span of time, as `--since` and `--until` name it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from chatstore_cli.domain.errors import BadValue, WrongUse
from chatstore_cli.domain.times import read_span

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_both_ends_may_be_left_out() -> None:
    assert read_span(None, None, NOW) == (None, None)
    assert read_span("1w", None, NOW) == (NOW - timedelta(weeks=1), None)
    assert read_span(None, "24h", NOW) == (None, NOW - timedelta(days=1))


@pytest.mark.parametrize(("since", "until"), [("1d", "7d"), ("2026-03-01", "2026-03-01"), ("now", "today")])
def test_a_span_of_no_time_is_refused_and_both_ends_are_named(since: str, until: str) -> None:
    with pytest.raises(WrongUse) as refused:
        read_span(since, until, NOW)
    assert f"--since {since} (" in refused.value.message
    assert f"--until {until} (" in refused.value.message


def test_a_time_that_is_none_is_told_first() -> None:
    with pytest.raises(BadValue, match="--until: 'soon'"):
        read_span("7d", "soon", NOW)
