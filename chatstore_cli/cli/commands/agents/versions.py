"""`chatstore agents history|diff|activate`: the versions of an agent."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.agent_options import AgentArgument, AgentTenantOption, RevealOption, agent_id_of, version_id_of
from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.render.listing import Listing, Record

app = single_command()

_EXITS = [ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT]
_MOST = 10_000
_ID = "65bb00000000000000000001"
_VERSION = "3f0b8e9a-6d54-4f2d-9a52-0a1f3b5c7d9e"


@command(
    app,
    "history",
    examples=[f"chatstore agents history {_ID}", f"chatstore agents history {_ID} --limit 5 -o json"],
    exits=_EXITS,
)
def history(
    context: typer.Context,
    agent_id: AgentArgument,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=_MOST, help="Show at most N versions.")] = 50,
    tenant: AgentTenantOption = None,
) -> None:
    """List the versions of an agent, the newest first. One of them is active.

    A version shows when a change was made, and not by whom. An agent that was never changed has one version. To show the
    configuration of a version, run chatstore agents show with --version.
    """
    from chatstore_cli.render.rows.agents import VERSION_COLUMNS, version_row
    from chatstore_cli.wiring.agents import agent_registry

    agent_id = agent_id_of(agent_id)
    invocation = Invocation(context)
    most = min(limit + 1, _MOST)
    versions = agent_registry(invocation.stores).history(agent_id, tenant_id=tenant, limit=most)
    rows = [version_row(version) for version in versions[:limit]]
    empty = "The agent has no versions."
    # At the most that can be read, more may exist. A notice that is not needed is better than a missing one.
    is_truncated = len(versions) > limit or len(versions) == _MOST
    invocation.emit(Listing(VERSION_COLUMNS, rows, empty=empty, is_truncated=is_truncated))


@command(
    app,
    "diff",
    examples=[f"chatstore agents diff {_ID} {_VERSION}", f"chatstore agents diff {_ID} {_VERSION} -o json"],
    exits=_EXITS,
)
def diff(
    context: typer.Context,
    agent_id: AgentArgument,
    old: Annotated[str, typer.Argument(metavar="OLD", help="The id of a version.")],
    new: Annotated[
        str | None, typer.Argument(metavar="NEW", help="The id of another version (default: the active one).")
    ] = None,
    reveal: RevealOption = False,
    tenant: AgentTenantOption = None,
) -> None:
    """Show how two versions of an agent differ.

    Each line is one value of the name, the description or the configuration. Secrets are compared too, and shown as a mask
    unless --reveal is given.
    """
    from chatstore_cli.render.rows.agents import DIFFERENCE_COLUMNS, difference_row
    from chatstore_cli.wiring.agents import agent_registry

    agent_id, old = agent_id_of(agent_id), version_id_of(old, "OLD")
    new = None if new is None else version_id_of(new, "NEW")
    invocation = Invocation(context)
    found = agent_registry(invocation.stores).diff(agent_id, old, new, tenant_id=tenant, reveal=reveal)
    rows = [difference_row(each.path, each.kind, each.old, each.new) for each in found]
    invocation.emit(Listing(DIFFERENCE_COLUMNS, rows, empty="The two versions do not differ."))


@command(app, "activate", examples=[f"chatstore agents activate {_ID} {_VERSION}"], exits=_EXITS)
def activate(
    context: typer.Context,
    agent_id: AgentArgument,
    version_id: Annotated[str, typer.Argument(metavar="VERSION_ID", help="The id of the version.")],
    tenant: AgentTenantOption = None,
) -> None:
    """Make a version of an agent the active one again. The present state stays in the history."""
    from chatstore_cli.render.rows.agents import CHANGED_FIELDS, changed_agent_row
    from chatstore_cli.wiring.agents import agent_registry

    agent_id, version_id = agent_id_of(agent_id), version_id_of(version_id, "VERSION_ID")
    invocation = Invocation(context)
    invocation.will_write()
    agent = agent_registry(invocation.stores).activate(agent_id, version_id, tenant_id=tenant)
    invocation.emit(Record(CHANGED_FIELDS, changed_agent_row(agent)))
