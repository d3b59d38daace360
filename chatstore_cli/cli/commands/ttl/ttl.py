"""`chatstore ttl show|set`: how long MongoDB keeps documents."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.command_declarations import command, group
from chatstore_cli.cli.commands.ttl.session_registry import has_registry, registry_agrees, specs_with_registry
from chatstore_cli.cli.dry_runs import NOTHING_CHANGES, begin, dry_run_option, result_of
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.config.settings import Settings
from chatstore_cli.core.indexes import perform
from chatstore_cli.core.retention.ttl import is_age, plan_retention, retentions
from chatstore_cli.domain.errors import BadValue, ExitCode, NotFound
from chatstore_cli.domain.indexes.findings import IndexStep
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.domain.indexes.ttl import Retention
from chatstore_cli.render.listing import Listing
from chatstore_cli.render.rows.indexes import RETENTION_COLUMNS, STEP_COLUMNS, retention_row, step_row
from chatstore_cli.wiring.stores import GENERAL

app = group("ttl", "Show and set how long MongoDB keeps messages.")
Layout = Annotated[
    str | None, typer.Option("--layout", metavar="LAYOUT", help="Include only this layout (default: all layouts).")
]
_EXITS = [ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE]


@command(app, "show", examples=["chatstore ttl show", "chatstore ttl show -o json"], exits=_EXITS)
def show(context: typer.Context, layout: Layout = None) -> None:
    """Show which documents MongoDB deletes by itself, and when.

    For each TTL index: its date field, how many documents it would delete now, and how many it never deletes.

    Only a date expires. A document whose field holds text or a number, or that lacks the field, never expires. A count
    that takes longer than verify.seconds_per_check is replaced by a sample or omitted.
    """
    invocation = Invocation(context, layout=layout)
    stores = invocation.stores
    specs = specs_with_registry(invocation, layout, wanted=has_registry(invocation, layout))
    shown = (
        retentions(specs, stores.index_store, stores.document_dates, stores.server_now()) if any(specs.values()) else ()
    )
    rows = [retention_row(retention, _days(invocation.settings, retention)) for retention in shown]
    invocation.emit(
        Listing(RETENTION_COLUMNS, rows, empty="MongoDB deletes nothing by itself in these collections.", upright=True)
    )


@command(
    app,
    "set",
    examples=[
        "chatstore ttl set --days 30 --dry-run",
        "chatstore ttl set --days 30",
        "chatstore ttl set --days 0 --yes",
    ],
    exits=[*_EXITS, ExitCode.FINDINGS, ExitCode.CONFLICT],
    meanings={ExitCode.FINDINGS: "findings: the setting differs from --days"},
)
def set_(
    context: typer.Context,
    days: Annotated[
        int,
        typer.Option("--days", metavar="N", min=0, max=24_855, help="Keep messages for N days; 0 keeps them forever."),
    ],
    layout: Layout = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask, even if MongoDB will delete documents at once.")
    ] = False,
    dry_run: Annotated[bool, dry_run_option("changed", "change")] = False,
) -> None:
    """Set for how many days messages are kept.

    The plan reports how many documents MongoDB would delete at once, before anything is changed.

    If a TTL index is on a date such as created_at, the command changes its expireAfterSeconds (collMod), which applies to
    stored documents as well. Flat messages have their own expiry date (expires_at = time of storing + mongo.ttl_days):
    the index deletes each message on its date, stored messages keep their dates, and new messages get mongo.ttl_days.

    This command changes neither documents nor the configuration. If mongo.ttl_days differs from --days, it prints the
    setting to change and exits with status 6. With --days 0 it drops the TTL indexes.

    With --layout general, the command changes the TTL index of the session registry instead. MongoDB deletes an entry N days
    after its last change. The setting is chatstore.registry.keep_days.
    """
    invocation = Invocation(context, layout=layout)
    stores = invocation.stores
    begin(invocation, dry_run=dry_run, nothing=NOTHING_CHANGES)
    if layout == GENERAL and days == 0:
        expected = "1 or more: entries of the session registry cannot be kept forever"
        raise BadValue(name="--days", value=days, expected=expected)
    specs = specs_with_registry(invocation, layout, wanted=layout == GENERAL)
    if not stores.uses_mongo(layout):
        raise NotFound(
            kind_of_thing="TTL index", name=str(layout), where="", hint="PostgreSQL deletes nothing by itself."
        )
    stores.contents.require_writable(spec.collection for layout_specs in specs.values() for spec in layout_specs)
    steps = list(plan_retention(days, specs, stores.index_store, stores.document_dates, stores.server_now()))
    own = [spec for layout_specs in specs.values() for spec in layout_specs if spec.expire_after_seconds is not None]
    if layout is not None and not own and not steps:
        raise NotFound(kind_of_thing="TTL index of layout", name=layout, where="", hint="Its sessions never expire.")
    risky = [step for step in steps if step.needs_yes]
    if risky and not dry_run:
        invocation.confirm(_plan(risky), yes=yes)
    for step in [] if dry_run else steps:
        perform(step, stores.index_store)
    rows = [step_row(step, result_of("done", dry_run=dry_run)) for step in steps]
    invocation.emit(Listing(STEP_COLUMNS, rows, empty="The TTL indexes need no change."))
    dated = [spec for spec in own if not is_age(spec)]
    is_agreed = registry_agrees(invocation, days, layout, is_changed=len(dated) < len(own))
    if not is_agreed or (dated and not _applies_to_new(invocation, dated, days)):
        raise typer.Exit(ExitCode.FINDINGS)


def _days(settings: Settings, retention: Retention) -> int | None:
    """The setting for how long the documents of a collection are kept; None if it has no setting."""
    if retention.collection == settings.layouts.general.registry:
        return settings.chatstore.registry.keep_days
    return settings.mongo.ttl_days if retention.carries_own_date else None


def _plan(steps: list[IndexStep]) -> str:
    lines = [
        f"{step.finding.collection}: {step.action.value} TTL index {step.finding.name}: {step.detail}."
        for step in steps
    ]
    return "\n".join(lines)


def _applies_to_new(invocation: Invocation, own: list[IndexSpec], days: int) -> bool:
    """Report how long stored and new messages with their own date are kept; False if new ones are kept for another time."""
    for spec in own:
        field = spec.keys[0][0]
        types = invocation.stores.document_dates.field_types(spec.collection, field)
        documents = invocation.stores.document_dates.documents(spec.collection)
        if types is None or types.looked_at is not None:
            kept = "Stored messages keep their dates"
        else:
            never = types.absent + sum(types.other_types.values())
            kept = f"{documents - never:,} stored messages keep their dates"
            if never:
                kept += f", and {never:,} without a date never expire (chatstore ttl show)"
        invocation.say(f"{spec.collection}: each message has its own expiry date ({field}). {kept}.")
    configured = invocation.settings.mongo.ttl_days
    if configured == days:
        return True
    source = invocation.configuration.sources["mongo.ttl_days"]
    kept = f"for {days:,} days" if days else "forever (otherwise chatstore indexes apply creates the index again)"
    invocation.say(f"To keep new messages {kept}, set mongo.ttl_days: {days}. It is {configured} ({source}).")
    return False
