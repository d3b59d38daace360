"""What the commands of `chatstore indexes` ask for, and what they report about tables that have no such commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.core.indexes import perform
from chatstore_cli.domain.errors import ExitCode, NeedsConfirmation
from chatstore_cli.domain.indexes.findings import IndexStep
from chatstore_cli.render.listing import Column, Listing
from chatstore_cli.wiring.general import counter_merges
from chatstore_cli.wiring.postgres import search_index
from chatstore_cli.wiring.search_indexes import search_steps

if TYPE_CHECKING:
    from chatstore_cli.wiring.stores import Stores


def report_tables(invocation: Invocation, columns: Sequence[Column]) -> bool:
    """If threads are in PostgreSQL, report the version of their tables. Returns whether no migration is missing.

    If no other layout was asked for, the command ends here.
    """
    stores, layout = invocation.stores, invocation.layout
    if not stores.uses_postgres(layout):
        return True
    state = stores.migration_state()
    invocation.say(" ".join(filter(None, [str(state), state.advice])))
    if state.is_current and search_index(stores.postgres).exists():
        invocation.say("chatstore search uses the text index of PostgreSQL.")
    if not stores.uses_mongo(layout):
        empty = "A migration makes the indexes of PostgreSQL with the tables."
        invocation.emit(Listing(columns, [], empty=empty))
        raise typer.Exit(ExitCode.DONE if state.is_current else ExitCode.FINDINGS)
    return state.is_current


def missing_search_indexes(invocation: Invocation) -> list[IndexStep]:
    """The steps that create the indexes of searches. What is not created is reported."""
    steps, remarks = search_steps(invocation.stores, invocation.layout)
    for remark in remarks:
        invocation.say(remark)
    return steps


def create_table_index(invocation: Invocation, wanted: bool, *, dry_run: bool, yes: bool) -> bool:
    """If threads are in PostgreSQL and the index of searches is wanted, create it. Returns whether no confirmation was missing."""
    stores, layout = invocation.stores, invocation.layout
    if not wanted or not stores.uses_postgres(layout):
        return True
    index = search_index(stores.postgres)
    if index.exists():
        return True
    plan = index.plan()
    if dry_run:
        invocation.say(f"PostgreSQL: this would {plan}.")
        return True
    if not yes:
        try:
            invocation.confirm(f"This change needs confirmation:\n  {plan}.")
        except NeedsConfirmation as error:
            invocation.say(f"PostgreSQL: to {plan}. This was not done. {error.hint or ''}".rstrip())
            if not stores.uses_mongo(layout):
                raise typer.Exit(ExitCode.FINDINGS) from None
            return False
    index.create()
    invocation.say("Created the text index of PostgreSQL for chatstore search.")
    return True


def confirmed_steps(invocation: Invocation, steps: list[IndexStep], *, yes: bool) -> bool:
    """Whether to make the changes that need confirmation. All other changes are made."""
    if not steps or yes:
        return True
    lines = [f"{step.action.value} {step.finding.name} on {step.finding.collection}: {step.detail}." for step in steps]
    plan = "These changes need confirmation:\n  " + "\n  ".join(lines)
    try:
        invocation.confirm(plan)
    except NeedsConfirmation as error:
        for line in f"{plan}\nThey were not made. {error.hint or ''}".rstrip().splitlines():
            invocation.say(line)
        return False
    return True


def carry_out(step: IndexStep, stores: Stores) -> None:
    """Carry out one step. Raises Conflict."""
    if step.merged is not None:
        counter_merges(stores).merge(step.merged)
    else:
        perform(step, stores.index_store)


def collections_of(stores: Stores, layout: str | None) -> list[str]:
    """The collections that the indexes of a layout are on."""
    return [spec.collection for specs in stores.index_specs(layout).values() for spec in specs]
