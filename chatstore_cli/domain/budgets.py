"""Groups of a usage report that are compared with a budget."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from chatstore_cli.domain.usage import UsageRow


@dataclass(frozen=True, slots=True)
class OverBudget:
    """A group whose known cost is above the budget, and by how much."""

    row: UsageRow
    cost: Decimal
    over_by: Decimal


@dataclass(frozen=True, slots=True)
class BudgetCheck:
    """The groups over a budget, the most expensive first, and the others whose cost is partly or wholly unknown."""

    limit: Decimal
    over: list[OverBudget] = field(default_factory=list)
    unknown: list[UsageRow] = field(default_factory=list)
