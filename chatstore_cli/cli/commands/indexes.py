"""`chatstore indexes check|apply`: indexes as they should be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.options import command, group
from chatstore_cli.domain.errors import Conflict, ExitCode, NeedsConfirmation
from chatstore_cli.render.listing import Listing

if TYPE_CHECKING:
    from chatstore_cli.domain.indexes.findings import IndexFinding, IndexStep

app = group("indexes", "Compare indexes with what they should be, and create what is missing.")
Layout = Annotated[str | None, typer.Option("--layout", metavar="LAYOUT", help="Only this stored shape.")]
_EXITS = [ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.FINDINGS]


@command(
    app,
    "check",
    examples=["chatstore indexes check", "chatstore indexes check -o json"],
    exits=_EXITS,
    meanings={ExitCode.FINDINGS: "findings: an index is missing or has drifted"},
)
def check(context: typer.Context, layout: Layout = None) -> None:
    """Compare keys and options of indexes with the required ones.

    `missing` is not there; `drifted` has the keys and other options; `unneeded` is asked for by no layout, and may be
    the application's own. Ends with 6 when something is missing or has drifted; what a collection lacks that does not
    exist yet is shown, and is no finding.
    """
    from chatstore_cli.core.indexes import is_finding
    from chatstore_cli.render.rows.indexes import INDEX_COLUMNS, index_row

    invocation = Invocation(context)
    findings = _findings(invocation, layout)
    invocation.emit(Listing(INDEX_COLUMNS, [index_row(finding) for finding in findings]))
    there = invocation.stores.index_store.existing_collections()
    for absent in dict.fromkeys(finding.collection for finding in findings if finding.collection not in there):
        invocation.say(f"{absent} does not exist yet; chatstore indexes apply creates it with its indexes.")
    if any(is_finding(finding) for finding in findings if finding.collection in there):
        invocation.say("Create what is missing with: chatstore indexes apply")
        raise typer.Exit(ExitCode.FINDINGS)


@command(
    app,
    "apply",
    examples=["chatstore indexes apply --dry-run", "chatstore indexes apply", "chatstore indexes apply --yes"],
    exits=[*_EXITS, ExitCode.CONFLICT],
    meanings={ExitCode.FINDINGS: "findings: what is done only with --yes was left"},
)
def apply(
    context: typer.Context,
    layout: Layout = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do also what drops an index or makes MongoDB delete documents.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    drop_unneeded: Annotated[
        bool, typer.Option("--drop-unneeded", help="With --yes: drop what no layout asks for.")
    ] = False,
) -> None:
    """Create missing indexes while the application continues to write.

    Done only with --yes (or a yes on a terminal): changing an index that has drifted, dropping one, and a TTL index by
    which MongoDB would delete documents at once; how many is said first. Ends with 6 where something of it is left.
    """
    from chatstore_cli.core.indexes import perform, plan_steps
    from chatstore_cli.domain.times import utc_now
    from chatstore_cli.render.rows.indexes import STEP_COLUMNS, step_row

    invocation = Invocation(context)
    if dry_run:
        invocation.say(f"Target: {invocation.stores.target} (dry run: nothing is changed)")
    else:
        invocation.will_write()
    findings = _findings(invocation, layout)
    steps = list(plan_steps(findings, invocation.stores.document_dates, utc_now(), drop_unneeded=drop_unneeded))
    agreed = dry_run or _agreed(invocation, [step for step in steps if step.needs_yes], yes=yes)
    rows = []
    conflicts: list[Conflict] = []
    for step in steps:
        left = step.needs_yes and not agreed
        if not dry_run and not left:
            invocation.explain(f"{step.action.value} {step.finding.name} on {step.finding.collection} ...")
            try:
                perform(step, invocation.stores.index_store)
            except Conflict as error:  # one that cannot be is no reason to go without the others
                conflicts.append(error)
                continue
        rows.append(step_row(step, "planned" if dry_run else "left" if left else "done"))
    if conflicts:
        conflicts[0].hint = f"{conflicts[0].hint or ''} {len(rows)} of {len(steps)} steps are done or left.".strip()
        raise conflicts[0]
    invocation.emit(Listing(STEP_COLUMNS, rows, empty="Every index is there and as it should be."))
    if not agreed:
        raise typer.Exit(ExitCode.FINDINGS)


def _findings(invocation: Invocation, layout: str | None) -> list[IndexFinding]:
    from chatstore_cli.core.indexes import check_indexes

    specs = [spec for wanted in invocation.stores.index_specs(layout).values() for spec in wanted]
    return check_indexes(specs, invocation.stores.index_store)


def _agreed(invocation: Invocation, steps: list[IndexStep], *, yes: bool) -> bool:
    """Whether to do what needs a yes. Without one it is left, and the rest is done all the same."""
    if not steps or yes:
        return True
    lines = [f"{step.action.value} {step.finding.name} on {step.finding.collection}: {step.detail}." for step in steps]
    plan = "Needs a yes:\n  " + "\n  ".join(lines)
    try:
        invocation.confirm(plan)
    except NeedsConfirmation as refused:
        invocation.say(f"{plan}\nLeft as it is. {refused.hint or ''}".rstrip())
        return False
    return True
