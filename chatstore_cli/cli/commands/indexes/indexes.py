"""`chatstore indexes check|apply`: compare indexes with those that the layouts need, and create them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

import typer

from chatstore_cli.cli.command_declarations import command, group
from chatstore_cli.cli.commands.indexes.steps import (
    carry_out,
    collections_of,
    confirmed_steps,
    create_table_index,
    missing_search_indexes,
    report_tables,
)
from chatstore_cli.cli.dry_runs import NOTHING_CHANGES, begin, dry_run_option, result_of
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.core.general.counter_merges import doubled_notice, with_merges
from chatstore_cli.core.indexes import check_indexes, is_finding, named_indexes, plan_steps
from chatstore_cli.domain.errors import Conflict, ExitCode
from chatstore_cli.domain.foreign import mainly_foreign
from chatstore_cli.domain.indexes.findings import IndexFinding
from chatstore_cli.render.listing import Listing
from chatstore_cli.render.rows.indexes import INDEX_COLUMNS, STEP_COLUMNS, index_row, step_row
from chatstore_cli.wiring.general import counter_merges
from chatstore_cli.wiring.search_indexes import described

app = group("indexes", "Compare indexes with those that the layouts need, and create the missing ones.")
Layout = Annotated[
    str | None, typer.Option("--layout", metavar="LAYOUT", help="Include only this layout, or agents (default: all).")
]
_EXITS = [ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.FINDINGS]


@command(
    app,
    "check",
    examples=["chatstore indexes check", "chatstore indexes check -o json"],
    exits=_EXITS,
    meanings={ExitCode.FINDINGS: "findings: an index is missing or has drifted, or a collection cannot be written"},
)
def check(context: typer.Context, layout: Layout = None) -> None:
    """Compare keys and options of indexes with the required ones.

    A `missing` index does not exist. A `drifted` index has the right keys and other options. An `unneeded` index was
    made by chatstore, and no layout needs it any more. An `other` index was not made by chatstore and may be the
    application's own. Exits with status 6 if an index is missing or has drifted, and if a collection holds mainly
    documents of another product: no index is needed there. The same holds for a view and for a capped or time series
    collection, to which chatstore does not write. The indexes of a collection that does not exist yet are shown, and do
    not change the exit status.

    If threads are in PostgreSQL, their indexes belong to their tables. A line on stderr reports the version of the tables,
    and the command exits with status 6 if chatstore threads migrate has something to do.
    """
    invocation = Invocation(context, layout=layout)
    stores = invocation.stores
    is_migrated = report_tables(invocation, INDEX_COLUMNS)
    collections = dict.fromkeys(collections_of(invocation.stores, layout))
    left_out = {each.collection: each.remark for each in mainly_foreign(stores.contents, collections)}
    options = stores.index_store.options(collections)
    left_out |= {each.name: f"{each.name} is {each.unsuitable}" for each in options if each.unsuitable}
    findings = _findings(invocation, layout, left_out)
    invocation.emit(Listing(INDEX_COLUMNS, [index_row(finding) for finding in findings]))
    existing = stores.index_store.existing_collections()
    invocation.say_what_the_database_has()
    for remark in left_out.values():
        invocation.say(f"{remark}. chatstore needs no index there. Check the configuration: chatstore config show")
    for absent in dict.fromkeys(finding.collection for finding in findings if finding.collection not in existing):
        invocation.say(f"{absent} does not exist yet. chatstore indexes apply creates it with its indexes.")
    if notice := doubled_notice(findings, counter_merges(stores, is_patient=False)):
        invocation.say(notice)
    has_findings = any(is_finding(finding) for finding in findings if finding.collection in existing)
    if has_findings:
        invocation.say("To create the missing indexes, run: chatstore indexes apply")
    if has_findings or left_out or not is_migrated:
        raise typer.Exit(ExitCode.FINDINGS)


@command(
    app,
    "apply",
    examples=["chatstore indexes apply --dry-run", "chatstore indexes apply --yes", "chatstore indexes apply --search"],
    exits=[*_EXITS, ExitCode.CONFLICT],
    meanings={ExitCode.FINDINGS: "findings: a change that needs --yes was not made"},
)
def apply(
    context: typer.Context,
    layout: Layout = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Make the changes that need confirmation without asking.")
    ] = False,
    dry_run: Annotated[bool, dry_run_option("changed", "change")] = False,
    drop_unneeded: Annotated[
        bool, typer.Option("--drop-unneeded", help="Drop indexes that chatstore made and no layout needs any more.")
    ] = False,
    search: Annotated[
        bool, typer.Option("--search", help="Create the text indexes with which chatstore search finds rare words.")
    ] = False,
    drop: Annotated[
        list[str] | None,
        typer.Option(
            "--drop",
            metavar="[COLLECTION.]INDEX",
            help="Drop this index, which chatstore did not ask for or does not need any more; repeatable.",
        ),
    ] = None,
) -> None:
    """Create missing indexes while the application continues to write.

    Some changes need confirmation (--yes skips the question): to change or drop an index, to create a TTL index by which
    MongoDB would delete documents at once (they are counted), to merge counters of general chats that have the same tenant
    and user, and to create a text index (its size is estimated). Exits with status 6 if such a change was not made.

    Only --drop drops an index that chatstore did not ask for. If a collection holds mainly documents of another product,
    nothing is changed, and the command exits with status 8.
    """
    invocation = Invocation(context, layout=layout)
    begin(invocation, dry_run=dry_run, nothing=NOTHING_CHANGES)
    has_table_index = create_table_index(invocation, search, dry_run=dry_run, yes=yes)
    report_tables(invocation, STEP_COLUMNS)
    invocation.stores.contents.require_writable(collections_of(invocation.stores, layout))
    invocation.say_what_the_database_has()
    findings = _findings(invocation, layout)
    dropped = named_indexes(findings, drop or [])
    dates, now = invocation.stores.document_dates, invocation.stores.server_now()
    planned = plan_steps(findings, dates, now, drop_unneeded=drop_unneeded, dropped=dropped)
    steps = list(with_merges(planned, counter_merges(invocation.stores)))
    if search:
        steps += missing_search_indexes(invocation)
    confirmed = dry_run or confirmed_steps(invocation, [step for step in steps if step.needs_yes], yes=yes)
    rows = []
    conflicts: list[Conflict] = []
    for step in steps:
        is_left = step.needs_yes and not confirmed
        if not dry_run and not is_left:
            invocation.explain(f"{step.action.value} {step.finding.name} on {step.finding.collection} ...")
            try:
                carry_out(step, invocation.stores)
            except Conflict as error:  # the other steps do not depend on this one
                conflicts.append(error)
                continue
        rows.append(step_row(step, result_of("left" if is_left else "done", dry_run=dry_run)))
    if conflicts:
        conflicts[0].hint = f"{conflicts[0].hint or ''} {len(rows)} of {len(steps)} steps succeeded.".strip()
        raise conflicts[0]
    invocation.emit(Listing(STEP_COLUMNS, rows, empty="Every index exists and has the right options."))
    if not (confirmed and has_table_index):
        raise typer.Exit(ExitCode.FINDINGS)


def _findings(invocation: Invocation, layout: str | None, left_out: Collection[str] = ()) -> list[IndexFinding]:
    stores = invocation.stores
    specs, made = (
        [spec for specs in stores.index_specs(layout, whatever_expires=every).values() for spec in specs]
        for every in (False, True)
    )
    return described(stores, check_indexes(specs, stores.index_store, made, left_out), layout)
