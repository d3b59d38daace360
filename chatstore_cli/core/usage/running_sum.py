"""The usage of one group while a report adds it up."""

from __future__ import annotations

from decimal import Context, Decimal

from chatstore_cli.core.usage.cost_sum import CostSum
from chatstore_cli.domain.usage import UNKNOWN_DETAILS, KnownUsage, TokenDetails, UsageRow

EXACT = Context(prec=200)
"""No sum of costs is rounded: the default precision of 28 digits would round without notice."""

GroupKey = tuple[str | None, ...]


class RunningSum:
    """The sum of a group. `names` are the sessions of the ledger, if they are known one by one.

    `priced` has its cost if the report calculates costs.
    """

    __slots__ = (
        "completion",
        "cost",
        "counters",
        "details",
        "has_tokens",
        "names",
        "priced",
        "prompt",
        "sessions",
        "total",
        "unknown",
        "unknown_names",
    )

    def __init__(self) -> None:
        self.sessions = self.prompt = self.completion = self.total = self.unknown = self.counters = 0
        self.cost: Decimal | None = None
        self.details = UNKNOWN_DETAILS
        self.has_tokens = False
        self.names: set[GroupKey] = set()
        self.unknown_names: set[GroupKey] = set()
        self.priced: CostSum | None = None

    def add_session(self, usage: KnownUsage | None) -> None:
        """Add a session with its stored totals; None if its layout has none."""
        self.sessions += 1
        self.counters += 1
        if usage is None:
            return
        if usage.has_tokens:
            self.add(*usage.known)
        elif usage.cost is not None:
            self.add_cost(usage.cost)
        self.unknown += usage.cost_is_missing

    def add(
        self, prompt: int, completion: int, total: int, cost: Decimal | None, details: TokenDetails = UNKNOWN_DETAILS
    ) -> None:
        """Add tokens and cost. An unknown cost adds nothing."""
        self.has_tokens = True
        self.prompt += prompt
        self.completion += completion
        self.total += total
        self.details = self.details.plus(details)
        if cost is not None:
            self.add_cost(cost)

    def add_cost(self, cost: Decimal) -> None:
        """Add a known cost."""
        self.cost = cost if self.cost is None else EXACT.add(self.cost, cost)

    @property
    def all_sessions(self) -> int:
        """The number of sessions, from both sources."""
        return self.sessions + len(self.names)

    @property
    def reported_cost(self) -> Decimal | None:
        """The cost that the report shows."""
        return self.cost if self.priced is None else self.priced.cost

    def row(self, group: dict[str, str | None]) -> UsageRow:
        """The sum as a row of a report."""
        cost = self.reported_cost
        usage = KnownUsage(self.prompt, self.completion, self.total, cost)
        if self.all_sessions and not self.has_tokens:
            usage = KnownUsage(cost=cost)
        unknown = self.unknown + len(self.unknown_names)
        pricing = None if self.priced is None else self.priced.result()
        return UsageRow(group, self.all_sessions, usage, unknown, self.counters, self.details, pricing)
