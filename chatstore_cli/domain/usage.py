"""Tokens and money."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Usage:
    """What a session has used. Counts are tokens. `cost` is in the currency of the stored costs, None if unknown."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cost: Decimal | None = None


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
