"""`chatstore agents edit`: changes an agent in the editor of the user."""

from __future__ import annotations

import typer

from chatstore_cli.cli.agent_options import AgentArgument, AgentTenantOption, agent_id_of
from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.commands.agents.draft import AgentDraft
from chatstore_cli.cli.editor import require_terminal
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.render.listing import Record

app = single_command()


@command(
    app,
    "edit",
    examples=[
        "chatstore agents edit 65bb00000000000000000001",
        "EDITOR='code --wait' chatstore agents edit 65bb00000000000000000001 --tenant acme",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)
def edit(context: typer.Context, agent_id: AgentArgument, tenant: AgentTenantOption = None) -> None:
    """Change an agent in an editor.

    The name, the description and the configuration open as YAML in the editor that VISUAL or EDITOR names, with secrets
    masked (********). A mask means the stored value. What is not changed keeps its stored value exactly, and an edit that
    changes nothing is not stored.

    If the editor fails, if the edited text is not valid, or if another writer has changed the agent in the meantime,
    nothing is stored. The edited text is kept in a file that only its owner can read, and the path is printed.
    """
    from chatstore_cli.render.rows.agents import CHANGED_FIELDS, changed_agent_row
    from chatstore_cli.wiring.agents import agent_registry

    agent_id = agent_id_of(agent_id)
    invocation = Invocation(context)
    invocation.reject_read_only()
    require_terminal("Use chatstore agents update with --file or --set.", no_input=invocation.options.no_input)
    invocation.will_write()
    agents = agent_registry(invocation.stores)
    agent = agents.get_agent(agent_id, tenant_id=tenant)
    with AgentDraft(agent, invocation.say) as draft:
        change = draft.edited()
        if change is not None:
            agent = agents.update_agent(
                agent_id,
                name=change.name,
                description=change.description,
                config=change.config,
                base_version=agent.version_id,
                tenant_id=tenant,
            )
    invocation.emit(Record(CHANGED_FIELDS, changed_agent_row(agent)))
    if change is None:
        invocation.say("The agent was not changed.")
