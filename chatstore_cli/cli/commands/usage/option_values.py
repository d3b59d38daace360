"""What the options of usage reports mean: the keys to group by, the budget."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from chatstore_cli.cli.commands.usage.options import BudgetScope
from chatstore_cli.core.usage.groupings import UsageGrouping, groupings_named
from chatstore_cli.domain.errors import BadValue, WrongUse
from chatstore_cli.domain.usage_ledger import MOST_TOKENS
from chatstore_cli.render.output_format import OutputFormat


def groupings_of(by: list[str] | None, budget: Decimal | None, per: BudgetScope | None) -> list[UsageGrouping]:
    """The groupings in the given order, each once. With a budget, those that it is for."""
    if budget is None:
        if per is not None:
            raise WrongUse(what="--per has an effect only with --budget.", hint="Add --budget AMOUNT.")
        return _groupings(by)
    groupings = [UsageGrouping(per or BudgetScope.TENANT)]
    if by is not None and _groupings(by) != groupings:
        raise WrongUse(
            what=f"--by {','.join(by)} cannot be combined with --budget, which groups by --per ({groupings[0]}).",
            hint="Remove --by.",
        )
    return groupings


def _groupings(by: list[str] | None) -> list[UsageGrouping]:
    return groupings_named("--by", ",".join(by or [UsageGrouping.TENANT]))


def reject_bars(output: OutputFormat | None) -> None:
    """Raise WrongUse for --bars with a format that is not a table."""
    if output not in (None, OutputFormat.TABLE, OutputFormat.MD):
        raise WrongUse(what=f"--bars and -o {output} cannot be combined.", hint="Bars are in tables only.")


def budget_of(text: str | None) -> Decimal | None:
    """The amount of --budget. Raises BadValue."""
    if text is None:
        return None
    try:
        amount: Any = Decimal(text.strip()) if len(text) <= 50 and "_" not in text else None
    except InvalidOperation:
        amount = None
    if amount is None or not amount.is_finite() or not 0 <= amount <= MOST_TOKENS:
        raise BadValue(name="--budget", value=text, expected=f"an amount from 0 to {MOST_TOKENS:,}, such as 200")
    return Decimal(amount)
