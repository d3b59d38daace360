"""Running and selecting checks."""

from __future__ import annotations

import pytest

from chatstore_cli.core.verify.checklist import Check, failed, has_failed, passed, run_checks, selected, skipped, warned
from chatstore_cli.domain.errors import BadValue, Unreachable


def raising():
    """A check that raises our error."""
    raise Unreachable(what="gone", hint="come back")


def test_checks_run_in_order_and_are_timed():
    ticks = iter([1.0, 3.5, 10.0, 10.25])
    checks = [Check("a", lambda: passed("fine")), Check("b", lambda: warned("odd", "look"))]
    results = list(run_checks(checks, timer=lambda: next(ticks)))
    assert [(one.name, one.status.value, one.seconds, one.detail, one.hint) for one in results] == [
        ("a", "pass", 2.5, "fine", None),
        ("b", "warn", 0.25, "odd", "look"),
    ]


def test_an_error_is_a_failed_check_and_what_needs_it_is_skipped_through_the_whole_chain():
    ran = []
    checks = [
        Check("a", raising),
        Check("b", lambda: ran.append("b") or passed(""), "a"),
        Check("c", lambda: ran.append("c") or passed(""), "b"),
        Check("d", lambda: passed("apart")),
    ]
    results = list(run_checks(checks))
    assert [one.status.value for one in results] == ["fail", "skip", "skip", "pass"]
    assert (results[0].detail, results[0].hint) == ("gone", "come back")
    assert results[2].detail == "skipped because b failed"
    assert ran == []


def test_a_warning_or_a_skipped_check_stops_nothing():
    checks = [
        Check("a", lambda: warned("", "")),
        Check("b", lambda: skipped("")),
        Check("c", lambda: passed(""), "a"),
        Check("d", lambda: passed(""), "b"),
    ]
    results = list(run_checks(checks))
    assert [one.status.value for one in results] == ["warn", "skip", "pass", "pass"]
    assert not has_failed(results)


def test_only_failing_fails():
    assert has_failed(list(run_checks([Check("a", lambda: failed("", ""))])))


def test_a_check_runs_if_the_one_it_needs_was_not_selected():
    checks = selected([Check("a", raising), Check("b", lambda: passed(""), "a")], ["b"], [])
    assert [one.status.value for one in run_checks(checks)] == ["pass"]


def test_selecting_keeps_the_order_of_the_checklist():
    checks = [Check(name, lambda: passed("")) for name in "abc"]
    assert [check.name for check in selected(checks, ["c", "a"], [])] == ["a", "c"]
    assert [check.name for check in selected(checks, [], ["b"])] == ["a", "c"]
    assert selected(checks, ["a"], ["a"]) == []
    with pytest.raises(BadValue, match="a, b, c"):
        selected(checks, [], ["x"])
