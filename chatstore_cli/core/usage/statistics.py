"""Compares the usage of sessions with the statistics that their platform keeps in a collection of its own.

chatstore reads statistics and never writes them. So for a session whose usage is in the ledger, statistics are correct if
they equal its counters now, or its counters before the first report.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from chatstore_cli.core.usage.explain import differing_numbers
from chatstore_cli.domain.usage import Usage
from chatstore_cli.domain.usage_ledger import OPENING_RUN, UsageLedger


@dataclass(frozen=True, slots=True)
class StatisticFinding:
    """A session whose statistics differ from its counters. `sums` are those of the ledger, None without rows there."""

    chat_id: str
    layout: str
    counters: Usage
    sums: Usage | None
    statistics: Usage
    differing: tuple[str, ...]
    """The names of the numbers that differ, as in Usage."""


def differing_statistics(statistics: Mapping[str, Usage], ledgers: Sequence[UsageLedger]) -> Iterator[StatisticFinding]:
    """The sessions whose statistics differ. Statistics of a session that does not exist are left out.

    If several layouts have the id, the statistics are correct if they fit the session of one layout.
    """
    for chat_id, usage in statistics.items():
        found = [_compared(ledger, chat_id, usage) for ledger in ledgers]
        differing = [finding for finding in found if finding is not None]
        if differing and all(finding.differing for finding in differing):
            yield differing[0]


def _compared(ledger: UsageLedger, chat_id: str, usage: Usage) -> StatisticFinding | None:
    """The comparison with the session of one layout; None if the layout has no such session."""
    session = ledger.session(chat_id)
    if session is None:
        return None
    counters = Usage() if session.usage is None else session.usage.known
    differing = _differing(counters, usage)
    rows = [row.snapshot for row in ledger.rows(chat_id) if row.problem is None] if differing else []
    before = next((row.counters for row in rows if row.run == OPENING_RUN), Usage())
    if rows and not _differing(before, usage):
        differing = ()
    sums = ledger.sums(chat_id) if rows else None
    return StatisticFinding(chat_id, ledger.layout, counters, sums, usage, differing)


def _differing(counters: Usage, statistics: Usage) -> tuple[str, ...]:
    """The names of the numbers that differ. An unknown cost does not: the platform stores 0 for it."""
    if any(statistics[:3]) and not statistics.cost:
        statistics = statistics._replace(cost=None)
    if not counters.cost and any(counters[:3]):
        statistics = statistics._replace(cost=None)
    return differing_numbers(counters._replace(cost=counters.cost or Decimal()), statistics)
