"""The cost of one group while a report calculates costs."""

from __future__ import annotations

from decimal import Context, Decimal

from chatstore_cli.domain.usage import GroupCost

_EXACT = Context(prec=200)


class CostSum:
    """Adds up the cost of a group, and compares it with what was stored, wherever both are known."""

    __slots__ = ("calculated", "cost", "difference", "from_stored", "is_complete", "is_upper_bound", "stored")

    def __init__(self) -> None:
        self.cost: Decimal | None = None
        self.stored: Decimal | None = None
        self.difference: Decimal | None = None
        self.is_complete = True
        self.is_upper_bound = self.calculated = self.from_stored = False

    def add_calculated(self, cost: Decimal, *, is_upper_bound: bool) -> None:
        """Add a calculated cost."""
        self.cost = _sum(self.cost, cost)
        self.calculated = True
        self.is_upper_bound |= is_upper_bound

    def add_stored(self, cost: Decimal | None) -> None:
        """Add a stored cost. None is the cost of no tokens."""
        if cost is not None:
            self.cost = _sum(self.cost, cost)
            self.from_stored = True

    def note_stored(self, cost: Decimal | None) -> None:
        """Note what was stored, whether or not it is what the report shows."""
        if cost is not None:
            self.stored = _sum(self.stored, cost)

    def compare(self, calculated: Decimal, stored: Decimal | None) -> None:
        """Note both costs of the same usage."""
        self.difference = _sum(self.difference, _EXACT.subtract(calculated, stored or Decimal()))

    def result(self) -> GroupCost:
        """The sums."""
        sources = [name for name, used in (("stored", self.from_stored), ("calculated", self.calculated)) if used]
        source = "both" if len(sources) == 2 else next(iter(sources), None)
        return GroupCost(self.is_complete, source, self.is_upper_bound, self.stored, self.difference)


def _sum(one: Decimal | None, other: Decimal) -> Decimal:
    return other if one is None else _EXACT.add(one, other)
