"""Retrying while the database is unreachable: when it ends, without waiting in real time."""

from __future__ import annotations

import pytest

from chatstore_cli.core.retry import RetryPolicy
from chatstore_cli.domain.errors import Overdue, Unreachable


class Outage:
    """A database that is unreachable until an instant, and a clock that every attempt and pause advances."""

    def __init__(self, *, ends_at: float, attempt_seconds: float = 10.0) -> None:
        self.now = 100.0
        self.ends_at = 100.0 + ends_at
        self.attempt_seconds = attempt_seconds
        self.limits: list[float] = []
        self.operations = 0
        self.said: list[str] = []

    def operation(self) -> str:
        self.operations += 1
        self._wait(self.attempt_seconds, "storing")
        return "done"

    def reach(self, seconds: float) -> None:
        self.limits.append(seconds)
        self._wait(min(seconds, self.attempt_seconds), "connecting")

    def policy(self, seconds: float) -> RetryPolicy:
        return RetryPolicy(
            seconds, say=self.said.append, pause=self._pause, reach=self.reach, monotonic=lambda: self.now
        )

    def _wait(self, seconds: float, doing: str) -> None:
        answered = self.now + seconds >= self.ends_at
        self.now = max(self.now, min(self.now + seconds, self.ends_at))
        if not answered:
            raise Unreachable(what=f"{doing}: refused")

    def _pause(self, seconds: float) -> bool:
        self.now += seconds
        return False


@pytest.mark.parametrize(
    ("seconds", "attempt_seconds"), [(2.0, 2.0), (5.0, 5.0), (13.0, 10.0), (60.0, 10.0), (12.0, 3.0)]
)
def test_an_outage_ends_within_its_seconds_whatever_one_attempt_takes(seconds: float, attempt_seconds: float) -> None:
    outage = Outage(ends_at=1e9, attempt_seconds=attempt_seconds)
    with pytest.raises(Unreachable, match="storing: refused"):
        outage.policy(seconds).call(outage.operation)
    assert outage.operations == 1
    assert outage.now - 100 <= seconds
    assert outage.now - 100 > seconds - 10  # the longest pause
    assert all(limit <= seconds for limit in outage.limits)
    assert all(text.startswith("storing: refused. Retrying in ") for text in outage.said)


def test_after_the_outage_the_operation_runs_again() -> None:
    outage = Outage(ends_at=17, attempt_seconds=10)
    assert outage.policy(60).call_counted(outage.operation)[0] == "done"
    assert outage.operations == 2


def test_without_seconds_there_is_one_attempt() -> None:
    outage = Outage(ends_at=1e9)
    with pytest.raises(Unreachable):
        outage.policy(0).call(outage.operation)
    assert (outage.operations, outage.limits, outage.said) == (1, [], [])


def test_the_newest_failure_of_the_operation_is_reported() -> None:
    failures: list[Exception] = [Unreachable(what="first"), Overdue(what="second")]

    def operation() -> str:
        if failures:
            raise failures.pop(0)
        return "done"

    said: list[str] = []
    assert RetryPolicy(9, say=said.append, pause=lambda _: False).call(operation) == "done"
    assert [text.partition(".")[0] for text in said] == ["first", "second"]
