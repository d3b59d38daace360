"""`chatstore usage`: tokens and cost, added up by one or several facts; and its subcommands."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.filters import (
    LayoutOption,
    StatusOption,
    TenantOption,
    UserOption,
    WorkflowOption,
    session_query,
)
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.options import command_with_subcommands, reject_parent_options
from chatstore_cli.cli.time_zones import time_zone
from chatstore_cli.core.usage.report import UsageGrouping, UsageOrder, report_usage
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.render.listing import Listing
from chatstore_cli.render.rows.usage import (
    usage_columns,
    usage_footer,
    usage_report_row,
    usage_sources_row,
    usage_totals_row,
)

GROUPINGS = "|".join(UsageGrouping)

app, register = command_with_subcommands(
    "usage",
    {"explain": "usage.explain", "reconcile": "usage.reconcile", "rollup": "usage.rollup"},
    examples=[
        "chatstore usage",
        "chatstore usage --by month --tenant acme",
        "chatstore usage --by day --since 30d -o csv",
        "chatstore usage --by day,model --timezone Europe/Berlin",
        "chatstore usage --by user --sort cost --top 10",
        "chatstore usage explain 4f1c9a",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE],
)


@register
def usage(
    context: typer.Context,
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by", metavar=GROUPINGS, help="What to add up by; several with commas or repeated [default: tenant]."
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Used at or after: 7d, 1w, yesterday, or ISO 8601.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Used before: as --since.")] = None,
    timezone: Annotated[
        str, typer.Option("--timezone", metavar="ZONE", help="Whose days, weeks and months: such as Europe/Berlin.")
    ] = "UTC",
    sort: Annotated[
        UsageOrder | None, typer.Option("--sort", help="By name, or a number, greatest first [default: time, tokens].")
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(
            "--top",
            metavar="N",
            min=1,
            help="Only the N groups with the most tokens, in their usual order; with --sort the first N of that order.",
        ),
    ] = None,
    layout: LayoutOption = None,
    tenant: TenantOption = None,
    user: UserOption = None,
    workflow: WorkflowOption = None,
    status: StatusOption = None,
) -> None:
    """Report tokens and cost, from the usage ledger and from the counters that sessions carry.

    Usage in the ledger counts when it was reported. A session without ledger rows counts on the day it was last updated,
    with all it ever used, and is marked (sessions_from_counters, source); none counts from both. A cost that nobody
    stored is unknown and never 0: COST is what is known, COST UNKNOWN counts the sessions with tokens and no cost.
    Totals are of all groups, also with --top.
    """
    if context.invoked_subcommand is not None:
        reject_parent_options(context)
        return
    from chatstore_cli.wiring.usage import usage_sums

    invocation = Invocation(context)
    zone = time_zone(timezone)
    timezone = str(zone)  # as the table of time zones spells it
    query = session_query(layout, tenant, user, workflow, status, since, until, zone)
    stores = invocation.stores
    report = report_usage(
        stores.session_readers(layout), query, _groupings(by), ledger=usage_sums(stores), zone=zone, order=sort, top=top
    )
    columns = usage_columns(list(report.totals.group), timezone, with_source=report.ledger_used)
    invocation.emit(
        Listing(
            columns,
            [usage_report_row(row) for row in report.rows],
            empty="No sessions.",
            footer=usage_footer(report.totals),
            beside={"totals": usage_totals_row(report.totals), "sources": usage_sources_row(report.totals)},
        )
    )
    if report.left_out:
        more = "1 more group is" if report.left_out == 1 else f"{report.left_out:,} more groups are"
        invocation.say(f"{more} in the totals only (--top {top}).")
    for note in report.notes:
        invocation.say(note)


def _groupings(asked: list[str] | None) -> list[UsageGrouping]:
    """The groupings in the order in which they were asked for, each once."""
    words = [word.strip() for words in asked or [UsageGrouping.TENANT] for word in words.split(",")]
    try:
        return list(dict.fromkeys(UsageGrouping(word) for word in words))
    except ValueError as error:
        known = ", ".join(UsageGrouping)
        raise typer.BadParameter(f"{','.join(asked or [])!r} is not of {known}.", param_hint="--by") from error
