"""`chatstore usage`: reports tokens and cost by one or several keys; and its subcommands."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.commands.usage.exporting import AfterOption, CursorToOption, export_usage
from chatstore_cli.cli.filters import (
    LayoutOption,
    StatusOption,
    TenantOption,
    UserOption,
    WorkflowOption,
    session_query,
)
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.options import command_with_subcommands, reject_other_options, reject_parent_options
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
from chatstore_cli.wiring.usage import usage_sums

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
        "chatstore usage --after start -o jsonl --cursor-to billing.cursor",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)


@register
def usage(
    context: typer.Context,
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by", metavar=GROUPINGS, help="Group by these keys, separated by commas or repeated [default: tenant]."
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="TIME", help="Include only usage at or after TIME: 7d, 1w, yesterday, or ISO 8601."
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            metavar="TIME",
            help="Include only usage before TIME, in the same forms. A date includes that day.",
        ),
    ] = None,
    sort: Annotated[
        UsageOrder | None,
        typer.Option(
            "--sort", help="Sort by name, or by this number in descending order [default: by time, then tokens]."
        ),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(
            "--top",
            metavar="N",
            min=1,
            help="Show only the N groups with the most tokens. With --sort, show the first N groups of that order.",
        ),
    ] = None,
    layout: LayoutOption = None,
    tenant: TenantOption = None,
    user: UserOption = None,
    workflow: WorkflowOption = None,
    status: StatusOption = None,
    after: AfterOption = None,
    cursor_to: CursorToOption = None,
) -> None:
    """Report tokens and cost of sessions.

    Usage in the ledger counts at the time it was reported. The stored totals of a session without ledger entries count on
    the day of its last update; such sessions are shown in sessions_from_counters and source. No usage counts twice. COST
    is the sum of the known costs. COST UNKNOWN is the number of sessions whose cost is not stored or not valid, or whose
    counters are all 0. Flat messages, which have no usage, are not among them. Totals include all groups, also with --top.

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
    zone = invocation.zone
    query = session_query(layout, tenant, user, workflow, status, since, until, zone)
    stores = invocation.stores
    ledger = usage_sums(stores) if stores.uses_mongo(layout) else None
    report = report_usage(
        stores.session_readers(layout), query, _groupings(by), ledger=ledger, zone=zone, order=sort, top=top
    )
    columns = usage_columns(list(report.totals.group), str(zone), with_source=report.ledger_used)
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
        invocation.say(f"{more} included in the totals only (--top {top}).")
    for note in report.notes:
        invocation.say(note)


def _groupings(asked: list[str] | None) -> list[UsageGrouping]:
    """The groupings in the given order, each once."""
    words = [word.strip() for words in asked or [UsageGrouping.TENANT] for word in words.split(",")]
    try:
        return list(dict.fromkeys(UsageGrouping(word) for word in words))
    except ValueError as error:
        known = ", ".join(UsageGrouping)
        raise typer.BadParameter(f"{','.join(asked or [])!r} is not one of {known}.", param_hint="--by") from error
