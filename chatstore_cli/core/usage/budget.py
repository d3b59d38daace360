"""Compares the cost of groups with a budget."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from chatstore_cli.core.usage.running_sum import EXACT
from chatstore_cli.domain.budgets import BudgetCheck, OverBudget
from chatstore_cli.domain.usage import UsageRow


def check_budget(rows: Iterable[UsageRow], limit: Decimal) -> BudgetCheck:
    """Compare the exact cost of each row with `limit`. What is unknown is not 0, so such rows are listed as well."""
    check = BudgetCheck(limit)
    for row in rows:
        cost = row.usage.cost
        if cost is not None and cost > limit:
            check.over.append(OverBudget(row, cost, EXACT.subtract(cost, limit)))
        elif not row.cost_is_complete:
            check.unknown.append(row)
    check.over.sort(key=lambda each: -each.cost)
    return check
