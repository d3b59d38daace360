"""Which rows of the usage ledger count and why, and sessions whose counters differ from the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from chatstore_cli.core.usage.recorder import carry_over_counters
from chatstore_cli.domain.errors import Conflict, NotFound
from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.domain.usage import Usage
from chatstore_cli.domain.usage_ledger import (
    OPENING_RUN,
    CountingReason,
    LedgerRow,
    UsageLedger,
    UsageSnapshot,
    UsageSums,
)

_COST_TOLERANCE = Decimal("1e-9")
"""Counters hold a cost as a double, so smaller differences are errors of rounding."""


@dataclass(frozen=True, slots=True)
class ExplainedRow:
    """A row of the ledger, by how much it raised the sums, and why it was counted or skipped."""

    row: LedgerRow
    counted: bool
    added: Usage
    reason: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """A session's ledger rows by time, their sums, and its counters (None if the session does not exist).

    The sessions of some layouts have no ledger, and cannot have rows.
    """

    chat_id: str
    layout: str
    rows: list[ExplainedRow]
    sums: Usage
    counters: Usage | None
    can_have_rows: bool = True


def explain_usage(
    ledgers: UsageLedger | Sequence[UsageLedger], chat_id: str, others: Sequence[SessionReader] = ()
) -> Explanation:
    """Each ledger row of a session, and why it was counted or skipped.

    `others` read the layouts that have no usage ledger. Raises NotFound without rows and session, and Conflict if
    several layouts have either of them.
    """
    each = ledgers if isinstance(ledgers, Sequence) else [ledgers]
    found = []
    for ledger in each:
        one = _explained(ledger, chat_id)
        found += [] if one is None else [one]
    if len(found) > 1:
        layouts = [one.layout for one in found]
        what = f"Session {chat_id!r} is in the layouts {' and '.join(layouts)}."
        raise Conflict(what=what, hint=f"Choose one: --layout {layouts[0]}.")
    if found:
        return found[0]
    for reader in others:
        if reader.find(chat_id) is not None:
            return Explanation(chat_id, reader.layout, [], Usage(), None, can_have_rows=False)
    raise NotFound(
        kind_of_thing="session",
        name=chat_id,
        where=" in the usage ledger or among the sessions",
        hint="The whole id is required.",
    )


def _explained(ledger: UsageLedger, chat_id: str) -> Explanation | None:
    """A session's rows and counters in one layout; None if it has neither."""
    explained = list(_explained_rows(ledger.rows(chat_id)))
    counters = ledger.counters(chat_id)
    if not explained and counters is None:
        return None
    sums = Usage()
    for row in explained:
        sums = sums.plus(row.added)
    return Explanation(chat_id, ledger.layout, explained, sums, counters)


def _explained_rows(rows: Iterator[LedgerRow]) -> Iterator[ExplainedRow]:
    highest: dict[tuple[str, ...], Usage] = {}
    for row in rows:
        if row.problem is not None:
            yield ExplainedRow(row, False, Usage(), f"skipped: {row.problem}")
            continue
        report = row.snapshot
        is_first = row.client not in highest
        earlier = highest.get(row.client, Usage())
        added = report.counters.exceeding(earlier)
        highest[row.client] = earlier.plus(added)
        counted = is_first or any(added[:3]) or added.cost is not None
        yield ExplainedRow(row, counted, added, _reason(report, is_first, counted))


def _reason(report: UsageSnapshot, is_first: bool, counted: bool) -> str:
    if report.run == OPENING_RUN:
        return CountingReason.CARRIED_OVER
    if report.turn_id is not None:
        return CountingReason.TURN if counted else CountingReason.NOT_ABOVE
    if is_first:
        return CountingReason.FIRST
    return CountingReason.BEYOND if counted else CountingReason.NOT_ABOVE


def missing_ledger_notice(sums: UsageSums, target: str) -> str | None:
    """A sentence if the database has no usage ledger, else None."""
    if sums.is_used():
        return None
    return f"There is no usage ledger in {target}. Reports use the stored totals of sessions."


@dataclass(frozen=True, slots=True)
class CounterFinding:
    """A session whose counters differ from the sums of the ledger."""

    chat_id: str
    layout: str
    counters: Usage
    expected: Usage
    differing: tuple[str, ...]
    """The names of the numbers that differ, as in Usage."""


def differing_counters(ledger: UsageLedger) -> Iterator[CounterFinding]:
    """The sessions whose counters differ from the ledger. Rows of a session that does not exist are left out."""
    for chat_id, sums in ledger.chats():
        counters = ledger.counters(chat_id)
        if counters is None:
            continue
        balance = ledger.opening_balance(chat_id)
        expected = sums if balance is None else sums.plus(_not_carried_over(ledger, chat_id, balance.counters))
        if differing := differing_numbers(counters, expected):
            yield CounterFinding(chat_id, ledger.layout, counters, expected, differing)


def differing_numbers(counters: Usage, expected: Usage) -> tuple[str, ...]:
    """The names of the numbers that differ. An unknown expected cost never differs, and costs may be rounded."""
    names = [name for name in Usage._fields[:3] if getattr(counters, name) != getattr(expected, name)]
    if expected.cost is not None:
        tolerance = max(_COST_TOLERANCE, expected.cost * _COST_TOLERANCE)
        if counters.cost is None or abs(counters.cost - expected.cost) > tolerance:
            names.append("cost")
    return tuple(names)


def _not_carried_over(ledger: UsageLedger, chat_id: str, balance: Usage) -> Usage:
    """The part of an opening balance that is not in the ledger's row of it."""
    rows = (row.snapshot for row in ledger.rows(chat_id) if row.problem is None and row.snapshot.run == OPENING_RUN)
    stored = next(rows, None)
    return balance if stored is None else balance.exceeding(stored.counters)


def repair_counters(ledger: UsageLedger, finding: CounterFinding) -> bool:
    """Set a session's counters to the sums of the ledger, with reports since the finding.

    Returns False, and changes nothing, if the counters have changed since.
    """
    counters = ledger.counters(finding.chat_id)
    if counters is None or counters != finding.counters:
        return False
    carry_over_counters(ledger, finding.chat_id)
    return ledger.set_counters(finding.chat_id, counters, ledger.sums(finding.chat_id))
