"""Tokens and money."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple


class Usage(NamedTuple):
    """Tokens used, and their cost: of one session, or a sum.

    `cost` is in the currency of the stored costs, None if unknown.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cost: Decimal | None = None

    def plus(self, other: Usage) -> Usage:
        """The sum of both. An unknown cost adds nothing."""
        costs = [cost for cost in (self.cost, other.cost) if cost is not None]
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.total_tokens + other.total_tokens,
            sum(costs, Decimal()) if costs else None,
        )

    def exceeding(self, earlier: Usage) -> Usage:
        """By how much these exceed earlier ones. The cost is None if it is unknown, or not above a known earlier one."""
        prompt, completion, total = (max(0, new - old) for new, old in zip(self[:3], earlier[:3], strict=True))
        if self.cost is None or (earlier.cost is not None and self.cost <= earlier.cost):
            return Usage(prompt, completion, total)
        return Usage(prompt, completion, total, self.cost - (earlier.cost or 0))


NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Usage of one group of sessions, such as one tenant or one day.

    `cost` is the sum of the known costs, None if no session has one. `cost_unknown_sessions` counts the sessions that used
    tokens without a known cost. `sessions_from_counters` sessions have no row in the usage ledger: their stored totals
    count.
    """

    group: dict[str, str | None]
    sessions: int
    usage: Usage
    cost_unknown_sessions: int
    sessions_from_counters: int = 0

    @property
    def source(self) -> str | None:
        """The source of the numbers: `ledger`, `counters` or `both`; None without sessions."""
        if not self.sessions:
            return None
        if not self.sessions_from_counters:
            return "ledger"
        return "counters" if self.sessions_from_counters == self.sessions else "both"
