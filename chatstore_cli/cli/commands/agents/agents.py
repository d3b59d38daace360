"""`chatstore agents`: lists saved agents, and shows one."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.agent_options import AgentArgument, AgentTenantOption, RevealOption, agent_id_of, version_id_of
from chatstore_cli.cli.agent_output import emit_config, shown_config, with_config_table
from chatstore_cli.cli.columns import ColumnsOption, chosen_columns
from chatstore_cli.cli.command_declarations import command, group
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.list_options import AllOption, CursorOption
from chatstore_cli.cli.paged_list import PageLimitOption, RowPage, emit_pages
from chatstore_cli.domain.errors import ExitCode, WrongUse

_LAZY_COMMANDS = {
    "create": "agents.create",
    "update": "agents.create",
    "edit": "agents.edit",
    "delete": "agents.removal",
    "restore": "agents.removal",
    "purge": "agents.removal",
    "history": "agents.versions",
    "diff": "agents.versions",
    "activate": "agents.versions",
    "resolve": "agents.resolve",
    "numbers": "agents.numbers",
}

app = group(
    "agents",
    "List, show, create and change saved agents; resolve them; bind phone numbers.",
    _LAZY_COMMANDS,
)


@command(
    app,
    "list",
    examples=["chatstore agents list", "chatstore agents list --tenant acme --limit 200 -o jsonl"],
    exits=[ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)
def list_(
    context: typer.Context,
    tenant: Annotated[
        str | None, typer.Option("--tenant", metavar="ID", help="Include only agents of this tenant.")
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", metavar="ID", help="Include only agents that this user created.")
    ] = None,
    deleted: Annotated[
        bool, typer.Option("--deleted", help="List deleted agents, which can be restored, instead of the others.")
    ] = False,
    columns: ColumnsOption = None,
    limit: PageLimitOption = None,
    all_: AllOption = False,
    cursor: CursorOption = None,
) -> None:
    """List saved agents, the most recently changed first.

    Each page ends with the cursor for the next page. New agents do not shift the pages. Without --tenant, the agents of
    all tenants are listed.
    """
    from chatstore_cli.render.rows.agents import AGENT_COLUMNS, agent_row
    from chatstore_cli.wiring.agents import agent_registry

    invocation = Invocation(context)
    shown = chosen_columns(AGENT_COLUMNS, columns)
    registry = agent_registry(invocation.stores)

    def read(after: str | None, size: int) -> RowPage:
        page = registry.list_agents(
            tenant_id=tenant, user_id=user, limit=size, cursor=after, deleted=deleted, with_config=False
        )
        return RowPage([agent_row(each) for each in page.agents], page.next_cursor)

    of_these = " with these options" if any((tenant, user, deleted, cursor)) else ""
    empty = f"No agents{of_these} in {invocation.target}."
    emit_pages(invocation, shown, read, limit=limit, all_=all_, cursor=cursor, empty=empty)


@command(
    app,
    "show",
    examples=[
        "chatstore agents show 65bb00000000000000000001",
        "chatstore agents show 65bb00000000000000000001 --config-only -o yaml > agent.yaml",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)
def show(
    context: typer.Context,
    agent_id: AgentArgument,
    version: Annotated[
        str | None, typer.Option("--version", metavar="VERSION_ID", help="Show this version (default: the active one).")
    ] = None,
    deleted: Annotated[bool, typer.Option("--deleted", help="Show a deleted agent.")] = False,
    config_only: Annotated[
        bool, typer.Option("--config-only", help="Print the configuration alone, as --file reads it.")
    ] = False,
    reveal: RevealOption = False,
    tenant: AgentTenantOption = None,
) -> None:
    """Show one agent with its configuration.

    Secrets such as API keys are shown as a mask (********), unless --reveal is given. chatstore agents update and edit read
    a mask as the stored value. A table has one line per value of the configuration. -o yaml and -o json print its structure.
    """
    from chatstore_cli.render.rows.agents import (
        CHANGED_FIELDS,
        VERSION_FIELDS,
        agent_view_row,
        version_view_row,
    )
    from chatstore_cli.wiring.agents import agent_registry

    if version is not None and deleted:
        raise WrongUse(what="--version and --deleted exclude each other.", hint="Restore the agent first.")
    agent_id = agent_id_of(agent_id)
    version = None if version is None else version_id_of(version, "--version")
    invocation = Invocation(context)
    agents = agent_registry(invocation.stores)
    if version is None:
        agent = agents.get_agent(agent_id, tenant_id=tenant, deleted=deleted)
        config = shown_config(agent.config, reveal=reveal)
        record = with_config_table(CHANGED_FIELDS, agent_view_row(agent, config))
    else:
        found = agents.get_version(agent_id, version, tenant_id=tenant)
        config = shown_config(found.config, reveal=reveal)
        record = with_config_table(VERSION_FIELDS, version_view_row(agent_id, found, config))
    if config_only:
        emit_config(invocation, config)
    else:
        invocation.emit(record)
