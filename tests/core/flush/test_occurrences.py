"""Counts of equal lines are right, or OutOfOrder is raised."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore_cli.core.flush.occurrences import CountOnDisk, OutOfOrder, WindowedCount

lines = st.lists(st.tuples(st.integers(0, 6), st.sampled_from([b"a", b"b"])), max_size=40)


def key_of(second: int, text: bytes) -> bytes:
    """Equal lines have the same instant: it is part of what makes them equal."""
    return b"%d" % second + text


@given(lines, st.integers(1, 5), st.booleans())
def test_a_number_is_right_or_not_given_at_all(read: list[tuple[int, bytes]], window: int, in_order: bool):
    counting = WindowedCount(window=window)
    before: Counter[bytes] = Counter()
    for second, text in sorted(read, key=lambda line: line[0]) if in_order else read:
        key = key_of(second, text)
        try:
            number = counting.number(key, f"{second:02}")
        except OutOfOrder:
            assert len(before) >= window
            return
        assert number == before[key]
        before[key] += 1


@given(lines, st.integers(14, 50))
def test_a_window_that_holds_every_key_numbers_each_line_in_any_order(read: list[tuple[int, bytes]], window: int):
    counting = WindowedCount(window=window + 1)
    before: Counter[bytes] = Counter()
    for second, text in read:
        key = key_of(second, text)
        assert counting.number(key, f"{second:02}") == before[key]
        before[key] += 1


@given(lines, st.integers(1, 5))
def test_lines_in_the_order_of_time_never_need_the_disk_unless_one_instant_has_more_than_a_window(
    read: list[tuple[int, bytes]], window: int
):
    counting = WindowedCount(window=window + 2)
    before: Counter[bytes] = Counter()
    for second, text in sorted(read, key=lambda line: line[0]):
        key = key_of(second, text)
        assert counting.number(key, f"{second:02}") == before[key]
        before[key] += 1


def test_lines_at_or_before_the_floor_may_have_equals_that_were_not_counted():
    counting = WindowedCount("05")
    for instant in ("04", "05"):
        with pytest.raises(OutOfOrder):
            counting.number(b"x", instant)
    assert counting.number(b"x", "06") == 0
    assert counting.number(b"x", "06") == 1


def test_memory_is_bounded_by_the_window():
    counting = WindowedCount(window=100)
    for number in range(10_000):
        counting.number(b"%d" % number, f"{number:06}")
    assert len(counting._newer) + len(counting._older) <= 200


@given(lines)
def test_on_disk_any_order_is_right(read: list[tuple[int, bytes]]):
    counting = CountOnDisk()
    before: Counter[bytes] = Counter()
    for second, text in read:
        key = key_of(second, text)
        assert counting.number(key, f"{second:02}") == before[key]
        before[key] += 1
    counting.close()


def test_what_was_counted_can_be_taken_away_as_often_and_no_oftener():
    counting = CountOnDisk()
    assert not counting.take(b"x")
    assert counting.add(b"x", by=0) == 0
    assert [counting.add(b"x"), counting.add(b"x")] == [1, 2]
    assert counting.add(b"x", by=0) == 2
    assert [counting.take(b"x") for _ in range(3)] == [True, True, False]
    counting.close()
