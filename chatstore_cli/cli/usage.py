"""`chatstore usage`: tokens and cost, added up over sessions."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.filters import (
    LayoutOption,
    SinceOption,
    StatusOption,
    TenantOption,
    UntilOption,
    UserOption,
    WorkflowOption,
    session_query,
)
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.options import command, single
from chatstore_cli.core.usage import COUNTED_ON, UsageGrouping, report_usage
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.render.listing import Listing
from chatstore_cli.render.usage_rows import usage_columns, usage_footer, usage_report_row, usage_totals_row

app = single()


@command(
    app,
    "usage",
    examples=[
        "chatstore usage",
        "chatstore usage --by month --tenant acme",
        "chatstore usage --by day --since 30d -o csv",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE],
)
def usage(
    context: typer.Context,
    by: Annotated[UsageGrouping, typer.Option("--by", help="What to add up by.")] = UsageGrouping.TENANT,
    since: SinceOption = None,
    until: UntilOption = None,
    layout: LayoutOption = None,
    tenant: TenantOption = None,
    user: UserOption = None,
    workflow: WorkflowOption = None,
    status: StatusOption = None,
) -> None:
    """Report tokens and cost from the counters that sessions carry.

    A session counts on the day it was last updated, with all it ever used. A cost that nobody stored is unknown and
    never 0: COST is what is known, COST UNKNOWN counts the sessions with tokens and no cost.
    """
    invocation = Invocation(context)
    query = session_query(layout, tenant, user, workflow, status, since, until)
    report = report_usage(invocation.stores.session_readers(layout), query, by)
    invocation.emit(
        Listing(
            usage_columns(list(report.totals.group)),
            [usage_report_row(row) for row in report.rows],
            empty="No sessions.",
            footer=usage_footer(report.totals),
            beside={"totals": usage_totals_row(report.totals)},
        )
    )
    invocation.say(COUNTED_ON)
    for note in report.notes:
        invocation.say(note)
