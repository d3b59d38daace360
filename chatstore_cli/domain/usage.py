"""Tokens and money."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Usage:
    """What a conversation has consumed. Counts are tokens; `cost` is in the store's currency, None where unknown."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cost: Decimal | None = None


NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Usage of one group of sessions, such as one tenant or one day.

    `cost` sums what is known, and is None where no session of the group has a known cost; `cost_unknown_sessions`
    counts the sessions that used tokens and whose cost nobody stored. `sessions_from_counters` of them have no row in
    the usage ledger and count with what their own counters say.
    """

    group: dict[str, str | None]
    sessions: int
    usage: Usage
    cost_unknown_sessions: int
    sessions_from_counters: int = 0

    @property
    def source(self) -> str | None:
        """Where the numbers come from: `ledger`, `counters` or `both`; None without sessions."""
        if not self.sessions:
            return None
        if not self.sessions_from_counters:
            return "ledger"
        return "counters" if self.sessions_from_counters == self.sessions else "both"
