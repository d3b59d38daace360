"""Journals with lines from the future: the clock of a machine was ahead when it recorded them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from chatstore_cli.domain.clocks import TOLERANCE
from chatstore_cli.domain.times import format_instant

_MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class FutureJournals:
    """How many journals have a line that is more than 5 minutes ahead of a clock, and the names of the first ones."""

    count: int = 0
    examples: tuple[str, ...] = ()


def future_journals(latest: Mapping[str, str], now: datetime) -> FutureJournals:
    """Those of the journals whose latest instant is in the future. `latest` has the canonical instant by name."""
    limit = format_instant(now + TOLERANCE)
    names = sorted(name for name, instant in latest.items() if instant > limit)
    return FutureJournals(len(names), tuple(names[:_MOST_NAMED]))


def describe_future(future: FutureJournals) -> str:
    """The journals in words, with the consequence."""
    names = ", ".join(future.examples)
    more = f" and {future.count - len(future.examples):,} more" if future.count > len(future.examples) else ""
    have = "1 journal has" if future.count == 1 else f"{future.count:,} journals have"
    return (
        f"{have} lines from the future: {names}{more}. "
        "They were recorded while a clock was ahead and keep their times, so newer messages come before them."
    )
