"""`chatstore usage`: reports tokens and cost by one or several keys; and its subcommands."""

from __future__ import annotations

from dataclasses import replace

import typer

from chatstore_cli.cli.command_declarations import command_with_subcommands
from chatstore_cli.cli.commands.usage import options as own
from chatstore_cli.cli.commands.usage.exporting import AfterOption, CursorToOption, export_usage
from chatstore_cli.cli.commands.usage.option_values import budget_of, groupings_of, reject_bars
from chatstore_cli.cli.commands.usage.reporting import ReportOutput, print_report
from chatstore_cli.cli.filters import (
    LayoutOption,
    StatusOption,
    TagOption,
    TenantOption,
    UserOption,
    WorkflowOption,
    session_query,
)
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.known_names import require_known_names
from chatstore_cli.cli.option_conflicts import reject_other_options, reject_parent_options
from chatstore_cli.cli.readable_sessions import readable_readers
from chatstore_cli.core.usage.pricing import CostMode, Pricing
from chatstore_cli.core.usage.report import has_usage, report_usage
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.domain.periods import chosen_period
from chatstore_cli.domain.times import utc_now
from chatstore_cli.wiring.labels import label_store
from chatstore_cli.wiring.prices import price_table
from chatstore_cli.wiring.usage import usage_sums

app, register = command_with_subcommands(
    "usage",
    {"explain": "usage.explain", "reconcile": "usage.reconcile", "rollup": "usage.rollup", "prices": "usage.prices"},
    examples=[
        "chatstore usage",
        "chatstore usage --by month --tenant acme",
        "chatstore usage --by day --since 30d -o csv",
        "chatstore usage --by day,model --timezone Europe/Berlin",
        "chatstore usage --last-month --round 2",
        "chatstore usage --by user --sort cost --top 10 --bars",
        "chatstore usage --month 2026-10 --by model --cost calculate",
        "chatstore usage --tag complaint --last-month",
        "chatstore usage --this-month --budget 200 --per tenant",
        "chatstore usage explain 4f1c9a",
        "chatstore usage --after start -o jsonl --cursor-to billing.cursor",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.FINDINGS, ExitCode.CONFLICT],
    meanings={ExitCode.FINDINGS: "findings: a group is over the budget"},
)


@register
def usage(
    context: typer.Context,
    by: own.ByOption = None,
    month: own.MonthOption = None,
    last_month: own.LastMonthOption = False,
    this_month: own.ThisMonthOption = False,
    last_week: own.LastWeekOption = False,
    this_week: own.ThisWeekOption = False,
    since: own.SinceOption = None,
    until: own.UntilOption = None,
    cost: own.CostOption = CostMode.STORED,
    digits: own.RoundOption = None,
    budget: own.BudgetOption = None,
    per: own.PerOption = None,
    bars: own.BarsOption = False,
    sort: own.SortOption = None,
    top: own.TopOption = None,
    layout: LayoutOption = None,
    tenant: TenantOption = None,
    user: UserOption = None,
    workflow: WorkflowOption = None,
    status: StatusOption = None,
    tag: TagOption = None,
    after: AfterOption = None,
    cursor_to: CursorToOption = None,
) -> None:
    """Report tokens and cost of sessions in a period.

    Usage in the ledger counts at the time it was reported. The stored totals of a session without ledger entries count on
    the day of its last update; such sessions are shown in sessions_from_counters and source. No usage counts twice. COST
    is the sum of the known costs, in the currency of chatstore.usage.currency. COST UNKNOWN is the number of sessions whose
    cost is not stored or not valid, or whose counters are all 0. Flat messages, which have no usage, are not among them.
    Totals include all groups, also with --top. If neither a session nor the ledger has the tenant or the user, the command
    exits with status 3.

    --cost calculate multiplies tokens with the prices of their days. Tokens without a price are named. DIFFERENCE is by how
    much calculated costs are above stored ones, where both are known. A cost is "at most" an amount if the number of cached
    tokens is unknown.

    --after is for billing. It prints the rows of the ledger in an order that never changes, and then the next cursor on
    stderr. With the same cursor, it prints the same rows again, and then new rows. A row gets its place in the order when it
    is first exported, so --after writes to the database.
    """
    if context.invoked_subcommand is not None:
        reject_parent_options(context)
        return
    if after is not None or cursor_to is not None:
        reject_other_options(context, "--after", "--cursor-to")
        export_usage(Invocation(context), after, cursor_to)
        return
    invocation = Invocation(context, layout=layout)
    limit = budget_of(budget)
    groupings = groupings_of(by, limit, per)
    if bars:
        reject_bars(invocation.options.output)
    named = {
        "--month": month, "--last-month": last_month, "--this-month": this_month,
        "--last-week": last_week, "--this-week": this_week,
    }  # fmt: skip
    period = chosen_period(named, since, until, utc_now(), invocation.zone)
    query = session_query(layout, tenant, user, workflow, status, None, None, period.zone, tag=tag)
    query = replace(query, since=period.since, until=period.until)
    settings, stores = invocation.settings.chatstore.usage, invocation.stores
    pricing = None if cost is CostMode.STORED else Pricing(cost, price_table(settings))
    ledger = usage_sums(stores) if stores.uses_mongo(layout) else None
    # Below a budget is what all sessions cost, not those that the user may read.
    readers = readable_readers(invocation, layout) if limit is None else stores.session_readers(layout)
    report = report_usage(
        readers, query, groupings,
        ledger=ledger, zone=period.zone, order=sort, top=top, pricing=pricing,
        labels=None if tag is None else label_store(stores),
    )  # fmt: skip
    if not report.rows:
        require_known_names(invocation, readers, query, lambda name: ledger is not None and has_usage(ledger, name))
    output = ReportOutput(period, settings.currency, digits, bars, sort, top, limit)
    print_report(invocation, report, output, pricing)
