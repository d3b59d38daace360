"""The options of usage reports: their period, costs, budget and numbers."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from chatstore_cli.core.usage.groupings import UsageGrouping, UsageOrder
from chatstore_cli.core.usage.pricing import CostMode

GROUPINGS = "|".join(UsageGrouping)


class BudgetScope(StrEnum):
    """What a budget is for."""

    TENANT = "tenant"
    USER = "user"
    MODEL = "model"
    WORKFLOW = "workflow"


ByOption = Annotated[
    list[str] | None,
    typer.Option(
        "--by", metavar=GROUPINGS, help="Group by these keys, separated by commas or repeated [default: tenant]."
    ),
]
SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="TIME", help="Include only usage at or after TIME: 7d, 1w, yesterday, or ISO 8601."
    ),
]
UntilOption = Annotated[
    str | None,
    typer.Option(
        "--until",
        metavar="TIME",
        help="Include only usage before TIME, in the same forms. A date includes that day.",
    ),
]
MonthOption = Annotated[
    str | None, typer.Option("--month", metavar="YYYY-MM", help="Include only usage of this calendar month.")
]
LastMonthOption = Annotated[bool, typer.Option("--last-month", help="Include only usage of the previous month.")]
ThisMonthOption = Annotated[bool, typer.Option("--this-month", help="Include only usage of the current month.")]
LastWeekOption = Annotated[
    bool, typer.Option("--last-week", help="Include only usage of the previous week, from Monday to Sunday.")
]
ThisWeekOption = Annotated[bool, typer.Option("--this-week", help="Include only usage of the current week.")]
SortOption = Annotated[
    UsageOrder | None,
    typer.Option("--sort", help="Sort by name, or by this number in descending order [default: by time, then tokens]."),
]
TopOption = Annotated[
    int | None,
    typer.Option(
        "--top",
        metavar="N",
        min=1,
        help="Show only the N groups with the most tokens. With --sort, show the first N groups of that order.",
    ),
]
CostOption = Annotated[
    CostMode,
    typer.Option(
        "--cost",
        help="Report stored costs, calculate costs from prices, or (auto) calculate them where none is stored.",
    ),
]
RoundOption = Annotated[
    int | None,
    typer.Option(
        "--round",
        metavar="N",
        min=0,
        max=12,
        help="Round costs to N digits after the point, half to even. Totals are rounded from the exact sum.",
    ),
]
BudgetOption = Annotated[
    str | None,
    typer.Option(
        "--budget",
        metavar="AMOUNT",
        help="Exit with status 6 if the cost of a group of --per is above AMOUNT in this period, and name the group.",
    ),
]
PerOption = Annotated[
    BudgetScope | None, typer.Option("--per", help="With --budget, what the budget is for [default: tenant].")
]
BarsOption = Annotated[
    bool,
    typer.Option(
        "--bars",
        help="Add a bar to each row of a table: of the cost, or of the tokens with --sort tokens. + marks an unknown part.",
    ),
]
