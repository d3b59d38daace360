"""Why usage is what it is: which rows of the ledger count, and whether sessions' counters say the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from chatstore_cli.core.usage.recorder import enter_opening
from chatstore_cli.domain.errors import NotFound
from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.domain.usage_ledger import OPENING_RUN, Counters, CountingReason, LedgerRow, UsageLedger, UsageSums

_COST_SLACK = Decimal("1e-9")
"""Counters hold a cost as a double: below this a difference is none."""


@dataclass(frozen=True, slots=True)
class ExplainedRow:
    """A row of the ledger, by how much it raised what counts, and why it did or did not."""

    row: LedgerRow
    counted: bool
    added: Counters
    reason: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """A chat's rows by time, what they add up to, and its session's counters (None: there is no such session).

    `layout` is that of a session which keeps no usage at all; None of any other.
    """

    chat_id: str
    rows: list[ExplainedRow]
    sums: Counters
    counters: Counters | None
    layout: str | None = None


def explain_usage(ledger: UsageLedger, chat_id: str, others: Sequence[SessionReader] = ()) -> Explanation:
    """Each row of a chat: counted or skipped, and why. Raises NotFound where there are neither rows nor a session.

    `others` read the layouts that keep no usage.
    """
    highest: dict[tuple[int, str | None, str | None], list[int]] = {}
    costs: dict[tuple[int, str | None, str | None], Decimal] = {}
    explained = []
    sums = Counters()
    for row in ledger.rows(chat_id):
        if row.problem is not None:
            explained.append(ExplainedRow(row, False, Counters(), f"skipped: {row.problem}"))
            continue
        one = row.snapshot
        client = (one.run, one.agent, one.model)
        is_first = client not in highest
        before = highest.setdefault(client, [0, 0, 0])
        now = (one.prompt_tokens, one.completion_tokens, one.total_tokens)
        beyond = [max(0, number - earlier) for number, earlier in zip(now, before, strict=True)]
        highest[client] = [max(number, earlier) for number, earlier in zip(now, before, strict=True)]
        money = None
        if one.cost is not None and (client not in costs or one.cost > costs[client]):
            money = one.cost - costs.get(client, Decimal())
            costs[client] = one.cost
        added = Counters(beyond[0], beyond[1], beyond[2], money)
        counted = is_first or any(beyond) or money is not None
        sums = sums.plus(added)
        explained.append(ExplainedRow(row, counted, added, _reason(one.run, is_first, counted)))
    counters = ledger.counters(chat_id)
    if not explained and counters is None:
        for reader in others:
            if reader.find(chat_id) is not None:
                return Explanation(chat_id, [], sums, None, reader.layout)
        raise NotFound(
            kind_of_thing="chat",
            name=chat_id,
            where=" in the usage ledger or among the sessions",
            hint="Ids are exact.",
        )
    return Explanation(chat_id, explained, sums, counters)


def _reason(run: int, is_first: bool, counted: bool) -> str:
    if run == OPENING_RUN:
        return CountingReason.CARRIED_OVER
    if is_first:
        return CountingReason.FIRST
    return CountingReason.BEYOND if counted else CountingReason.NOT_ABOVE


def lack_of_ledger(sums: UsageSums, target: str) -> str | None:
    """In words that the database has no usage ledger; None where it has one."""
    if sums.is_used():
        return None
    return f"There is no usage ledger in {target}: sessions count with their own counters."


@dataclass(frozen=True, slots=True)
class CounterFinding:
    """A session whose counters are not what the ledger adds up to."""

    chat_id: str
    now: Counters
    wanted: Counters
    differing: tuple[str, ...]
    """The names of the numbers that differ, as in Counters."""


def differing_counters(ledger: UsageLedger) -> Iterator[CounterFinding]:
    """The sessions whose counters differ from the ledger. Chats without a session have no counters."""
    for chat_id, sums in ledger.chats():
        counters = ledger.counters(chat_id)
        if counters is None:
            continue
        opening = ledger.opening(chat_id)
        wanted = sums if opening is None else _opened(ledger, chat_id, sums, opening.counters)
        if differing := _differing(counters, wanted):
            yield CounterFinding(chat_id, counters, wanted, differing)


def _differing(now: Counters, wanted: Counters) -> tuple[str, ...]:
    counts = [name for name in Counters._fields[:3] if getattr(now, name) != getattr(wanted, name)]
    return (*counts, "cost") if _differ(now.cost, wanted.cost) else tuple(counts)


def _opened(ledger: UsageLedger, chat_id: str, sums: Counters, said: Counters) -> Counters:
    """What the ledger adds up to with all carried over that the counters say; some of it may have been already."""
    rows = (row.snapshot for row in ledger.rows(chat_id) if row.problem is None and row.snapshot.run == OPENING_RUN)
    carried = next(rows, None)
    if carried is None:
        return sums.plus(said)
    more = [max(0, one - other) for one, other in zip(said[:3], carried.counters[:3], strict=True)]
    cost = None if said.cost is None else max(Decimal(), said.cost - (carried.cost or 0))
    return sums.plus(Counters(more[0], more[1], more[2], cost))


def _differ(now: Decimal | None, wanted: Decimal | None) -> bool:
    return wanted is not None and (now is None or abs(now - wanted) > max(_COST_SLACK, wanted * _COST_SLACK))


def mend(ledger: UsageLedger, finding: CounterFinding) -> bool:
    """Set a session's counters to what the ledger says; False where they changed meanwhile, and nothing was done.

    What was reported since the finding is taken into account: the ledger is asked again.
    """
    counters = ledger.counters(finding.chat_id)
    if counters is None or counters != finding.now:
        return False
    enter_opening(ledger, finding.chat_id)
    return ledger.set_counters(finding.chat_id, counters, ledger.sums(finding.chat_id))
