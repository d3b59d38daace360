"""`chatstore agents resolve`: the configuration with which a call begins."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from chatstore_cli.cli.agent_options import (
    AgentTenantOption,
    RevealOption,
    agent_id_of,
    changed_config,
    read_config,
)
from chatstore_cli.cli.agent_output import emit_config, shown_config, with_config_table
from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.domain.errors import ExitCode, NotFound, WrongUse
from chatstore_cli.render.listing import Column

app = single_command()


@command(
    app,
    "resolve",
    examples=[
        "chatstore agents resolve 65bb00000000000000000001",
        "chatstore agents resolve 65bb00000000000000000001 --set engine.language=de -o json | jq .config.engine",
        "chatstore agents resolve --did +4930123456 --tenant acme",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)
def resolve(
    context: typer.Context,
    agent_id: Annotated[
        str | None,
        typer.Argument(metavar="AGENT_ID", help="The id of the agent: 24 hexadecimal digits."),
    ] = None,
    did: Annotated[
        str | None,
        typer.Option(
            "--did", metavar="NUMBER", help="Resolve the agent that answers this phone number, with or without +."
        ),
    ] = None,
    override: Annotated[
        str | None,
        typer.Option("--override", metavar="FILE", help="Put the values in FILE (YAML or JSON; - for stdin) on top."),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Put this value on top, as in agents update; repeatable."),
    ] = None,
    config_only: Annotated[bool, typer.Option("--config-only", help="Print the configuration alone.")] = False,
    derived: Annotated[
        bool,
        typer.Option("--derived", help="Add lyzr_rag and agentic_rag at the top, as in the platform's first version."),
    ] = False,
    reveal: RevealOption = False,
    tenant: AgentTenantOption = None,
) -> None:
    """Print the configuration with which a call of an agent begins.

    It is the stored configuration with the overrides on top: objects are merged, and everything else is replaced. Unknown
    tools are left out. The tool of the knowledge base is added if the knowledge base is on. Nothing is stored.

    If a phone number has no usable route, the configured default agent is resolved, and a line on stderr reports why.
    """
    from chatstore_cli.render.rows.agents import (
        RESOLVED_FIELDS,
        ROUTED_FIELDS,
        resolved_row,
        routed_row,
    )
    from chatstore_cli.wiring.agents import agent_resolver
    from chatstore_cli.wiring.phone_numbers import phone_numbers

    if (agent_id is None) == (did is None):
        raise WrongUse(what="Give either AGENT_ID or --did NUMBER.")
    agent_id = None if agent_id is None else agent_id_of(agent_id)
    overrides = changed_config(read_config(override), assignments)
    invocation = Invocation(context)
    resolver = agent_resolver(invocation.stores, derived_fields=derived)
    fields: tuple[Column, ...] = RESOLVED_FIELDS
    of_call: dict[str, Any] = {}
    if did is not None:
        call = phone_numbers(invocation.stores).resolve_did(did, tenant_id=tenant)
        if call.agent is None:
            raise NotFound(
                kind_of_thing="agent for the phone number", name=call.number, where="", hint=call.explanation
            )
        invocation.say(call.explanation)
        fields, of_call = ROUTED_FIELDS, routed_row(call)
        agent_id, tenant = call.agent.agent_id, call.agent.tenant_id  # the route has checked the caller's tenant
    resolved = resolver.resolve(agent_id, overrides, tenant_id=tenant)
    config = shown_config(resolved.config, reveal=reveal)
    if config_only:
        emit_config(invocation, config)
    else:
        row = resolved_row(resolved.agent_id, resolved.name, resolved.tenant_id, config, **of_call)
        invocation.emit(with_config_table(fields, row))
