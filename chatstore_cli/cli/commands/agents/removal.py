"""`chatstore agents delete|restore|purge`: deletes agents so that they can be restored, or for good."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.agent_options import AgentArgument, AgentTenantOption, YesOption, agent_id_of
from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.dry_runs import PLANNED, DryRunOption, begin, confirmed, result_of
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.domain.errors import ExitCode, WrongUse
from chatstore_cli.domain.quantities import quantity
from chatstore_cli.domain.times import read_when, utc_now
from chatstore_cli.render.listing import Record

app = single_command()

_EXITS = [ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT]
_ID = "65bb00000000000000000001"


@command(
    app,
    "delete",
    examples=[f"chatstore agents delete {_ID}", f"chatstore agents delete {_ID} --tenant acme --yes"],
    exits=_EXITS,
)
def delete(
    context: typer.Context,
    agent_id: AgentArgument,
    tenant: AgentTenantOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Delete an agent so that chatstore agents restore can undo it.

    It prints the phone numbers that are routed to the agent and asks for confirmation (--yes skips the question). The
    routes remain. Until the agent is restored, the default agent answers these numbers, if one is configured.
    """
    from chatstore_cli.core.agents.removal import deletion_plan
    from chatstore_cli.render.rows.agents import DELETED_FIELDS, deleted_row
    from chatstore_cli.wiring.agents import agent_registry
    from chatstore_cli.wiring.phone_numbers import phone_numbers

    agent_id = agent_id_of(agent_id)
    invocation = Invocation(context)
    begin(invocation, dry_run=dry_run)
    agents = agent_registry(invocation.stores)
    agent = agents.get_agent(agent_id, tenant_id=tenant)
    numbers = [route.number for route in phone_numbers(invocation.stores).routes_to(agent_id)]
    if confirmed(invocation, deletion_plan(agent, numbers), yes=yes, dry_run=dry_run):
        agents.delete_agent(agent_id, tenant_id=tenant)
    result = result_of("deleted", dry_run=dry_run)
    invocation.emit(Record(DELETED_FIELDS, deleted_row(agent_id, numbers, result)))
    if numbers and yes and not dry_run:
        invocation.say(f"Routed to the deleted agent: {', '.join(numbers)}.")


@command(app, "restore", examples=[f"chatstore agents restore {_ID}"], exits=_EXITS)
def restore(context: typer.Context, agent_id: AgentArgument, tenant: AgentTenantOption = None) -> None:
    """Undo the deletion of an agent. To list deleted agents, run chatstore agents list --deleted."""
    from chatstore_cli.render.rows.agents import CHANGED_FIELDS, changed_agent_row
    from chatstore_cli.wiring.agents import agent_registry

    agent_id = agent_id_of(agent_id)
    invocation = Invocation(context)
    invocation.will_write()
    agent = agent_registry(invocation.stores).restore_agent(agent_id, tenant_id=tenant)
    invocation.emit(Record(CHANGED_FIELDS, changed_agent_row(agent)))


@command(
    app,
    "purge",
    examples=[f"chatstore agents purge {_ID}", "chatstore agents purge --deleted-before 90d --dry-run"],
    exits=_EXITS,
)
def purge(
    context: typer.Context,
    agent_id: Annotated[
        str | None,
        typer.Argument(metavar="AGENT_ID", help="The id of a deleted agent: 24 hexadecimal digits."),
    ] = None,
    deleted_before: Annotated[
        str | None,
        typer.Option(
            "--deleted-before",
            metavar="TIME",
            help="Purge only agents deleted before this time: 90d, yesterday or ISO 8601.",
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Purge all deleted agents.")] = False,
    tenant: AgentTenantOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Delete agents for good, with their versions.

    They must be deleted already. The command prints how many documents would be deleted and asks for confirmation (--yes
    skips the question). Agents that are not deleted, documents that are not agents of the platform, and the routes of
    phone numbers remain.
    """
    from chatstore_cli.core.agents.removal import purge_plan
    from chatstore_cli.render.rows.agents import PURGE_FIELDS, purge_row
    from chatstore_cli.wiring.agents import agent_registry

    if agent_id is None and deleted_before is None and not every:
        raise WrongUse(what="No agents were selected.", hint="Give AGENT_ID, --deleted-before TIME or --all.")
    if every and (agent_id is not None or deleted_before is not None):
        raise WrongUse(what="--all cannot be combined with AGENT_ID or --deleted-before.")
    agent_id = None if agent_id is None else agent_id_of(agent_id)
    before = None if deleted_before is None else read_when(deleted_before, "--deleted-before", utc_now())
    invocation = Invocation(context)
    begin(invocation, dry_run=dry_run)
    agents = agent_registry(invocation.stores)
    plan = agents.plan_purge(agent_id, deleted_before=before, tenant_id=tenant)
    if not plan.agents:
        invocation.emit(Record(PURGE_FIELDS, purge_row(plan, result_of("deleted", dry_run=dry_run))))
        invocation.say("No deleted agent was selected.")
        return
    if not confirmed(invocation, purge_plan(plan), yes=yes, dry_run=dry_run):
        invocation.emit(Record(PURGE_FIELDS, purge_row(plan, PLANNED)))
        return
    done = agents.purge(agent_id, deleted_before=before, tenant_id=tenant)
    invocation.emit(Record(PURGE_FIELDS, purge_row(done, "deleted")))
    invocation.explain(f"Deleted: {quantity(done.agents, 'agent')}.")
