"""Prints a usage report: its rows, what they cover, and which groups are over a budget."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import typer

from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.core.usage.budget import check_budget
from chatstore_cli.core.usage.groupings import UsageOrder
from chatstore_cli.core.usage.pricing import Pricing
from chatstore_cli.core.usage.report import UsageReport
from chatstore_cli.domain.budgets import BudgetCheck
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.domain.periods import Period
from chatstore_cli.render.listing import Listing
from chatstore_cli.render.output_format import OutputFormat
from chatstore_cli.render.rows.usage import (
    bar_column,
    bars,
    usage_columns,
    usage_footer,
    usage_report_row,
)
from chatstore_cli.render.rows.usage_costs import (
    PERIOD_COLUMNS,
    beside_usage,
    budget_notes,
    budget_row,
    period_row,
    prices_row,
)


@dataclass(frozen=True, slots=True)
class ReportOutput:
    """How a report is printed. `order` decides what bars show; `digits` None is not rounded."""

    period: Period
    currency: str
    digits: int | None = None
    with_bars: bool = False
    order: UsageOrder | None = None
    top: int | None = None
    budget: Decimal | None = None


def print_report(invocation: Invocation, report: UsageReport, output: ReportOutput, pricing: Pricing | None) -> None:
    """Write the report. Exits with status 6 if a group is over the budget."""
    digits, totals = output.digits, report.totals
    rows = [usage_report_row(row, digits) for row in report.rows]
    columns = usage_columns(totals, str(output.period.zone), with_source=report.ledger_used)
    if output.with_bars:
        has_cost = totals.usage.cost is not None
        by_cost = output.order is UsageOrder.COST or (has_cost and output.order in (None, UsageOrder.NAME))
        rows = [{**row, "bar": bar} for row, bar in zip(rows, bars(report.rows, by_cost=by_cost), strict=True)]
        columns = [*columns, bar_column(by_cost=by_cost)]
    if invocation.options.output in (OutputFormat.CSV, OutputFormat.JSONL):
        rows = [{**row, **period_row(output.period, output.currency)} for row in rows]
        columns = [*columns, *PERIOD_COLUMNS]
    check = None if output.budget is None else check_budget([*report.rows, *report.left_out], output.budget)
    caption = f"Period: {output.period.as_text()}, currency: {output.currency}"
    footer = usage_footer(totals, digits)
    beside = _beside(report, output, pricing, check)
    invocation.emit(Listing(columns, rows, empty="No sessions.", footer=footer, caption=caption, beside=beside))
    invocation.say(caption)
    if digits is not None:
        invocation.say(
            f"Costs are rounded to {digits} digits, half to even. Totals are rounded from the exact sum, so they may differ "
            "from the sum of the rows."
        )
    if report.left_out:
        number = len(report.left_out)
        more = "1 more group is" if number == 1 else f"{number:,} more groups are"
        invocation.say(f"{more} included in the totals only (--top {output.top}).")
    for note in report.notes:
        invocation.say(note)
    if check is not None:
        for note in budget_notes(check, output.currency, digits):
            invocation.say(note)
        if check.over:
            raise typer.Exit(ExitCode.FINDINGS)


def _beside(
    report: UsageReport, output: ReportOutput, pricing: Pricing | None, check: BudgetCheck | None
) -> dict[str, Any]:
    """What JSON and YAML have beside the rows."""
    beside = beside_usage(report.totals, output.period, output.currency, output.digits)
    if pricing is not None:
        missing, notes = pricing.missing_prices(), pricing.model_notes
        beside["prices"] = prices_row(pricing.mode.value, pricing.table.describe(), missing, notes)
    if check is not None:
        per = next(iter(report.totals.group))
        beside["budget"] = budget_row(check, per.removesuffix("_id"), output.digits)
    return beside
