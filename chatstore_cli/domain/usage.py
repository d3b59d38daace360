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
    counts the sessions that used tokens and whose cost nobody stored.
    """

    group: dict[str, str | None]
    sessions: int
    usage: Usage
    cost_unknown_sessions: int
