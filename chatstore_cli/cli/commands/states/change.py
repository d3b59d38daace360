"""`chatstore states set|unset`: changes a value of a state, or which agent answers."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from chatstore_cli.cli.agent_options import content_of, typed_value, value_in
from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.commands.states.options import SessionArgument, UserArgument, no_value
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.domain.errors import ExitCode, WrongUse
from chatstore_cli.render.listing import Record

app = single_command()


@command(
    app,
    "set",
    examples=[
        "chatstore states set ana s-1 cart.total 12.5",
        """chatstore states set ana s-1 'prices["a.b"]' '{"currency": "EUR"}'""",
        "chatstore states set ana s-1 profile --file profile.yaml",
        "chatstore states set ana s-1 --agent 65bb00000000000000000001",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)
def set_(
    context: typer.Context,
    user_id: UserArgument,
    session_id: SessionArgument,
    path: Annotated[
        str | None, typer.Argument(metavar="PATH", help="The path of the value: cart.items[0].name.")
    ] = None,
    value: Annotated[
        str | None,
        typer.Argument(
            metavar="VALUE", help='Text, a number, true, false or null, or JSON if it begins with {, [ or ".'
        ),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option("--file", metavar="FILE", help="Read the value, YAML or JSON, from FILE (- for stdin)."),
    ] = None,
    agent: Annotated[
        str | None, typer.Option("--agent", metavar="ID", help="Set the current agent, which answers.")
    ] = None,
    no_agent: Annotated[bool, typer.Option("--no-agent", help="Set that no agent answers.")] = False,
) -> None:
    """Set one value of a state, or its current agent. Nothing else in the state changes.

    A state that does not exist is created, and so are the objects on the path. An index one past the end of a list appends.
    A value on the path that is neither an object nor a list is not replaced: the command exits with status 8.
    """
    from chatstore_cli.core.agent_states.paths import checked_path
    from chatstore_cli.core.agents.secrets import MASK, has_mask
    from chatstore_cli.render.rows.agent_states import CHANGE_FIELDS, change_row
    from chatstore_cli.wiring.agent_states import agent_states

    new = _given(path, value, file, agent, no_agent)
    if path is not None:
        checked_path(path)
        if has_mask(new):
            hint = "Set the value itself. chatstore states get --reveal shows the stored one."
            raise WrongUse(what=f"PATH {path}: the value has the mask {MASK}.", hint=hint)
    invocation = Invocation(context)
    invocation.will_write()
    states = agent_states(invocation.stores)
    if path is None:
        states.set_current_agent(user_id, session_id, new)
    else:
        states.set_value(user_id, session_id, path, new)
    agent_id = new if path is None else None
    invocation.emit(Record(CHANGE_FIELDS, change_row(user_id, session_id, path, agent_id, "set")))


@command(
    app,
    "unset",
    examples=["chatstore states unset ana s-1 cart.coupon", "chatstore states unset ana s-1 'cart.items[0]'"],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)
def unset(
    context: typer.Context,
    user_id: UserArgument,
    session_id: SessionArgument,
    path: Annotated[str, typer.Argument(metavar="PATH", help="The path of the value: cart.items[0].name.")],
) -> None:
    """Remove one value of a state. Nothing else in the state changes. In a list, the values after it move up."""
    from chatstore_cli.core.agent_states.paths import checked_path
    from chatstore_cli.render.rows.agent_states import CHANGE_FIELDS, change_row
    from chatstore_cli.wiring.agent_states import agent_states

    checked_path(path)
    invocation = Invocation(context)
    invocation.will_write()
    if not agent_states(invocation.stores).unset_value(user_id, session_id, path):
        raise no_value(user_id, session_id, path)
    invocation.emit(Record(CHANGE_FIELDS, change_row(user_id, session_id, path, None, "unset")))


def _given(path: str | None, value: str | None, file: str | None, agent: str | None, no_agent: bool) -> Any:
    """The value for the path, or the agent. Raises WrongUse unless exactly one of them is given."""
    given = [each is not None for each in (value, file, agent)]
    if sum(given) + no_agent != 1 or (path is None) == (value is not None or file is not None):
        raise WrongUse(
            what="The command does not name exactly one change.",
            hint="Give one of PATH VALUE, PATH --file FILE, --agent ID and --no-agent. "
            "Example: chatstore states set ana s-1 cart.total 12.5",
        )
    if file is not None:
        return value_in(*content_of(file))
    return agent if value is None else typed_value(value, "VALUE")
