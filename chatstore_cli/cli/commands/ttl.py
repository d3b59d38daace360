"""`chatstore ttl show|set`: how long documents are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.options import command, group
from chatstore_cli.domain.errors import ExitCode, NotFound
from chatstore_cli.render.listing import Listing

if TYPE_CHECKING:
    from chatstore_cli.domain.indexes.findings import IndexStep
    from chatstore_cli.domain.indexes.specs import IndexSpec

app = group("ttl", "Show and set how long messages are kept.")
Layout = Annotated[str | None, typer.Option("--layout", metavar="LAYOUT", help="Only this stored shape.")]
_EXITS = [ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE]


@command(app, "show", examples=["chatstore ttl show", "chatstore ttl show -o json"], exits=_EXITS)
def show(context: typer.Context, layout: Layout = None) -> None:
    """Show which documents MongoDB deletes by itself, and when.

    For each TTL index: its date field, how many documents it would delete now, and how many it never deletes.

    Only a date ever expires: a document whose field holds text or a number, or that lacks it, stays for ever. Counts
    come from an index where there is one; what takes longer than verify.seconds_per_check is sampled or left out.
    """
    from chatstore_cli.core.retention.ttl import retentions
    from chatstore_cli.domain.times import utc_now
    from chatstore_cli.render.rows.indexes import RETENTION_COLUMNS, retention_row

    invocation = Invocation(context)
    stores = invocation.stores
    found = retentions(_specs(invocation, layout), stores.index_store, stores.document_dates, utc_now())
    rows = [retention_row(retention, invocation.settings.mongo.ttl_days) for retention in found]
    invocation.emit(Listing(RETENTION_COLUMNS, rows, empty="MongoDB deletes nothing by itself here.", upright=True))


@command(
    app,
    "set",
    examples=[
        "chatstore ttl set --days 30 --dry-run",
        "chatstore ttl set --days 30",
        "chatstore ttl set --days 0 --yes",
    ],
    exits=[*_EXITS, ExitCode.FINDINGS, ExitCode.CONFLICT],
    meanings={ExitCode.FINDINGS: "findings: mongo.ttl_days is another number of days"},
)
def set_(
    context: typer.Context,
    days: Annotated[int, typer.Option("--days", min=0, max=24_855, help="How long to keep; 0 is for ever.")],
    layout: Layout = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do it also where MongoDB deletes documents at once.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
) -> None:
    """Set for how many days messages are kept.

    The plan reports how many documents MongoDB would delete at once, before anything is changed.

    Where a TTL index is on a plain date such as created_at, its expireAfterSeconds becomes so many days by collMod: that
    holds for what is stored, too. Flat messages each carry the date on which they go (expires_at, the time of storing +
    mongo.ttl_days): there the index is made to delete on that date, stored messages keep the date that they have, and new
    ones get mongo.ttl_days. This command writes neither documents nor the configuration: where mongo.ttl_days is another
    number, it says so and ends with 6. With --days 0 the TTL indexes are dropped.
    """
    from chatstore_cli.core.indexes import perform
    from chatstore_cli.core.retention.ttl import plan_retention
    from chatstore_cli.domain.times import utc_now
    from chatstore_cli.render.rows.indexes import STEP_COLUMNS, step_row

    invocation = Invocation(context)
    stores = invocation.stores
    if dry_run:
        invocation.say(f"Target: {stores.target} (dry run: nothing is changed)")
    else:
        invocation.will_write()
    specs = _specs(invocation, layout)
    steps = list(plan_retention(days, specs, stores.index_store, stores.document_dates, utc_now()))
    own = [spec for wanted in specs.values() for spec in wanted if spec.expire_after_seconds is not None]
    if layout is not None and not own and not steps:
        raise NotFound(kind_of_thing="TTL index", name=layout, where="", hint="Nothing of this layout expires.")
    risky = [step for step in steps if step.needs_yes]
    if risky and not dry_run:
        invocation.confirm(_plan(risky), yes=yes)
    for step in [] if dry_run else steps:
        perform(step, stores.index_store)
    rows = [step_row(step, "planned" if dry_run else "done") for step in steps]
    invocation.emit(Listing(STEP_COLUMNS, rows, empty="The indexes are as they should be."))
    if own and not _holds_for_new(invocation, own, days):
        raise typer.Exit(ExitCode.FINDINGS)


def _specs(invocation: Invocation, layout: str | None) -> dict[str, tuple[IndexSpec, ...]]:
    """What each layout asks for, whatever mongo.ttl_days is."""
    return {reader.layout: reader.index_specs() for reader in invocation.stores.session_readers(layout)}


def _plan(steps: list[IndexStep]) -> str:
    lines = [
        f"{step.finding.collection}: {step.action.value} TTL index {step.finding.name}: {step.detail}."
        for step in steps
    ]
    return "\n".join(lines)


def _holds_for_new(invocation: Invocation, own: list[IndexSpec], days: int) -> bool:
    """Say what becomes of stored and of new messages that carry their own date; False where new ones get another."""
    for spec in own:
        field = spec.keys[0][0]
        found = invocation.stores.document_dates.field_types(spec.collection, field)
        documents = invocation.stores.document_dates.documents(spec.collection)
        if found is None or found.looked_at is not None:
            kept = "Stored messages keep the dates that they have"
        else:
            kept = f"{documents - found.absent - sum(found.other_types.values()):,} stored messages keep their dates"
            if never := found.absent + sum(found.other_types.values()):
                kept += f", and {never:,} without a date never expire (chatstore ttl show)"
        invocation.say(f"{spec.collection}: each message carries its own date ({field}). {kept}.")
    configured = invocation.settings.mongo.ttl_days
    if configured == days:
        return True
    source = invocation.configuration.sources["mongo.ttl_days"]
    wanted = (
        f"be kept {days:,} days" if days else "be kept for ever (chatstore indexes apply would make the index again)"
    )
    invocation.say(f"For new messages to {wanted}, set mongo.ttl_days: {days}; it is {configured} ({source}).")
    return False
