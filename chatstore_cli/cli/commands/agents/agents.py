"""`chatstore agents`: lists saved agents, and shows one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from chatstore_cli.cli.agent_options import AgentArgument, AgentTenantOption, RevealOption, agent_id_of, version_id_of
from chatstore_cli.cli.agent_output import emit_config, shown_config, with_config_table
from chatstore_cli.cli.columns import ColumnsOption, chosen_columns
from chatstore_cli.cli.command_declarations import command, group
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.list_options import reject_limit_of_all
from chatstore_cli.domain.errors import ExitCode, WrongUse
from chatstore_cli.render.listing import Listing

if TYPE_CHECKING:
    from chatstore_cli.domain.agents.models import Agent, AgentPage

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
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, max=200, help="Show at most N agents (default 50).")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Show all agents, however many there are.")] = False,
    cursor: Annotated[
        str | None, typer.Option("--cursor", metavar="CURSOR", help="Continue after the page that printed this cursor.")
    ] = None,
) -> None:
    """List saved agents, the most recently changed first.

    Each page ends with the cursor for the next page. New agents do not shift the pages. Without --tenant, the agents of
    all tenants are listed.
    """
    from chatstore_cli.render.rows.agents import AGENT_COLUMNS, agent_row
    from chatstore_cli.wiring.agents import agent_registry

    invocation = Invocation(context)
    reject_limit_of_all(limit, all_=all_)
    shown = chosen_columns(AGENT_COLUMNS, columns)
    registry = agent_registry(invocation.stores)

    def page_after(cursor: str | None) -> AgentPage:
        size = 200 if all_ else limit or 50
        return registry.list_agents(
            tenant_id=tenant, user_id=user, limit=size, cursor=cursor, deleted=deleted, with_config=False
        )

    of_these = " with these options" if any((tenant, user, deleted, cursor)) else ""
    empty = f"No agents{of_these} in {invocation.target}."
    page = page_after(cursor)
    if all_:
        every = (agent_row(agent) for agent in _every_agent(page, page_after))
        invocation.emit(Listing(shown, every, empty=empty, streamed=True))
    else:
        invocation.emit(Listing(shown, [agent_row(each) for each in page.agents], page.next_cursor, empty=empty))


def _every_agent(page: AgentPage, page_after: Callable[[str], AgentPage]) -> Iterator[Agent]:
    """The agents of a page and of those after it."""
    while True:
        yield from page.agents
        if page.next_cursor is None:
            return
        page = page_after(page.next_cursor)


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
