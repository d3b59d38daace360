"""`chatstore agents create|update`: stores a new agent, or changes one."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from chatstore_cli.cli.agent_options import (
    AgentArgument,
    AgentTenantOption,
    ConfigFileOption,
    DescriptionOption,
    NameOption,
    SetOption,
    UnsetOption,
    agent_id_of,
    changed_config,
    config_changes,
    read_config,
    version_id_of,
)
from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.domain.errors import ExitCode, WrongUse
from chatstore_cli.render.listing import Record

app = single_command()


@command(
    app,
    "create",
    examples=[
        "chatstore agents create 'Front desk' --tenant acme --file agent.yaml",
        "chatstore agents create 'Front desk' --set engine.llm=openai/gpt-4o --set 'tools=[\"get_weather\"]'",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)
def create(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="The name: 1 to 128 characters (default: `agent_name` in FILE)."),
    ] = None,
    description: DescriptionOption = None,
    file: ConfigFileOption = None,
    assignments: SetOption = None,
    tenant: Annotated[
        str | None, typer.Option("--tenant", metavar="ID", help="The tenant that the agent belongs to.")
    ] = None,
    user: Annotated[str | None, typer.Option("--user", metavar="ID", help="The user who created the agent.")] = None,
) -> None:
    """Store a new agent. Each run stores another one.

    --set changes what --file gives. Its value is text, a number, true, false or null, or JSON if it begins with {, [ or ".
    The paths are those that chatstore agents show prints: engine.llm, tools[0], headers["a.b"]. Objects on the way are
    created. An index one past the end of a list appends.
    """
    from chatstore_cli.render.rows.agents import CHANGED_FIELDS, changed_agent_row
    from chatstore_cli.wiring.agents import agent_registry

    config = changed_config(read_config(file), assignments)
    invocation = Invocation(context)
    invocation.will_write()
    agent = agent_registry(invocation.stores).create_agent(
        name, description=description, config=config, tenant_id=tenant, user_id=user
    )
    invocation.emit(Record(CHANGED_FIELDS, changed_agent_row(agent)))


@command(
    app,
    "update",
    examples=[
        "chatstore agents update 65bb00000000000000000001 --set engine.voice_id=alloy --unset tools[2]",
        "chatstore agents update 65bb00000000000000000001 --file agent.yaml",
        "chatstore agents update 65bb00000000000000000001 --name Desk --base-version "
        "0b6c1f0e-5d0e-4a2b-9c1d-7f6e5d4c3b2a",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)
def update(
    context: typer.Context,
    agent_id: AgentArgument,
    name: NameOption = None,
    description: DescriptionOption = None,
    no_description: Annotated[bool, typer.Option("--no-description", help="Remove the description.")] = False,
    file: ConfigFileOption = None,
    assignments: SetOption = None,
    removals: UnsetOption = None,
    base_version: Annotated[
        str | None,
        typer.Option(
            "--base-version",
            metavar="VERSION_ID",
            help="Exit with status 8 if the agent is no longer in this version (default: apply the update anyway).",
        ),
    ] = None,
    tenant: AgentTenantOption = None,
) -> None:
    """Change an agent. Its former state stays in the history.

    --file replaces the whole configuration. --set and --unset change the stored one, or that of --file: see chatstore
    agents create. A value that is the mask ******** means the stored value. An update that changes nothing is not stored.
    """
    from chatstore_cli.domain.agents.models import UNCHANGED
    from chatstore_cli.render.rows.agents import CHANGED_FIELDS, changed_agent_row
    from chatstore_cli.wiring.agents import agent_registry

    agent_id = agent_id_of(agent_id)
    if base_version is not None:
        base_version = version_id_of(base_version, "--base-version")
    if no_description and description is not None:
        raise WrongUse(what="--description and --no-description exclude each other.")
    given, change = read_config(file), config_changes(assignments, removals)
    if all(each is None for each in (name, description, given, change)) and not no_description:
        raise WrongUse(what="No change was given.", hint="Give --name, --description, --file, --set or --unset.")

    def edited(stored: dict[str, Any]) -> dict[str, Any]:
        config = stored if given is None else dict(given)
        return config if change is None else change(config)

    invocation = Invocation(context)
    invocation.will_write()
    agent = agent_registry(invocation.stores).edit_agent(
        agent_id,
        edited,
        name=UNCHANGED if name is None else name,
        description=None if no_description else UNCHANGED if description is None else description,
        base_version=base_version,
        tenant_id=tenant,
    )
    invocation.emit(Record(CHANGED_FIELDS, changed_agent_row(agent)))
