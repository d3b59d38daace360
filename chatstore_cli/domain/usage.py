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


class KnownUsage(NamedTuple):
    """What is known of the tokens and the cost of a session, or of a group of sessions. None is unknown."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cost: Decimal | None = None

    @property
    def known(self) -> Usage:
        """The same numbers with 0 for an unknown number of tokens."""
        return Usage(self.prompt_tokens or 0, self.completion_tokens or 0, self.total_tokens or 0, self.cost)

    @property
    def has_tokens(self) -> bool:
        """Whether any number of tokens is known, even 0."""
        return any(count is not None for count in self[:3])

    @property
    def cost_is_missing(self) -> bool:
        """Whether a cost is missing. Of tokens that are known to be 0 it is not."""
        return self.cost is None and (not self.has_tokens or any(self[:3]))


UNKNOWN_USAGE = KnownUsage()


class TokenDetails(NamedTuple):
    """Parts of the tokens that some reports have: cached tokens of the prompt, reasoning tokens of the completion.

    None is unknown: no report has the number.
    """

    cached_tokens: int | None = None
    reasoning_tokens: int | None = None

    def plus(self, other: TokenDetails) -> TokenDetails:
        """The sum of both. An unknown number adds nothing."""
        return TokenDetails(*(_sum(pair) for pair in zip(self, other, strict=True)))


def _sum(numbers: tuple[int | None, int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


UNKNOWN_DETAILS = TokenDetails()


@dataclass(frozen=True, slots=True)
class GroupCost:
    """What a report that calculates costs knows about the cost of a group.

    `source` of the cost is `stored`, `calculated` or `both`; None without any. If `is_upper_bound`, the calculation took
    tokens for not cached whose cached part is unknown. `stored` is the sum of the stored costs. `difference` is by how much
    calculated costs are above stored ones, where both are known; None if there is no such usage.
    """

    is_complete: bool
    source: str | None
    is_upper_bound: bool
    stored: Decimal | None
    difference: Decimal | None


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Usage of one group of sessions, such as one tenant or one day.

    `usage` has the sums of the known numbers; None if no session has one. `cost_unknown_sessions` counts the sessions whose
    cost is unknown; those of a layout without usage are not among them. `sessions_from_counters` sessions have no row in
    the usage ledger: their stored totals count. `details` are from the ledger alone. `pricing` is there if the report
    calculates costs; then the cost of `usage` is the one that the report was asked for.
    """

    group: dict[str, str | None]
    sessions: int
    usage: KnownUsage
    cost_unknown_sessions: int
    sessions_from_counters: int = 0
    details: TokenDetails = UNKNOWN_DETAILS
    pricing: GroupCost | None = None

    @property
    def cost_is_complete(self) -> bool:
        """Whether no part of the cost is unknown."""
        return self.cost_unknown_sessions == 0 if self.pricing is None else self.pricing.is_complete

    @property
    def source(self) -> str | None:
        """The source of the numbers: `ledger`, `counters` or `both`; None without sessions."""
        if not self.sessions:
            return None
        if not self.sessions_from_counters:
            return "ledger"
        return "counters" if self.sessions_from_counters == self.sessions else "both"
