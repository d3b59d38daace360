"""Journals with lines from the future: which they are, and how they are named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from chatstore_cli.domain.future_journals import describe_future, future_journals
from chatstore_cli.domain.times import format_instant

NOW = datetime(2026, 3, 2, 11, 41, tzinfo=UTC)


@pytest.mark.parametrize("seconds, count", [(-1, 0), (0, 0), (300, 0), (301, 1)])
def test_only_what_is_more_than_five_minutes_ahead_is_in_the_future(seconds: int, count: int) -> None:
    found = future_journals({"a": format_instant(NOW + timedelta(seconds=seconds)), "empty": ""}, NOW)
    assert (found.count, found.examples) == (count, ("a",) * count)


def test_of_many_journals_the_first_ones_are_named() -> None:
    latest = {f"{number:02}.jsonl": "2099-01-01T00:00:00.000000+00:00" for number in range(25)}
    found = future_journals(latest, NOW)
    assert (found.count, len(found.examples)) == (25, 20)
    words = describe_future(found)
    assert words.startswith("25 journals have lines from the future: 00.jsonl, 01.jsonl,")
    assert ", 19.jsonl and 5 more. They were recorded while" in words
