"""`chatstore states`: lists the states of a Python agent, and shows one or a value of one."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.agent_options import RevealOption
from chatstore_cli.cli.agent_output import shown_config
from chatstore_cli.cli.command_declarations import command, group
from chatstore_cli.cli.commands.states.options import SessionArgument, UserArgument, no_state, no_value
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.list_options import AllOption, CursorOption
from chatstore_cli.cli.paged_list import PageLimitOption, RowPage, emit_pages
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.render.listing import Listing, Record

app = group(
    "states",
    "Show and change the states of a Python agent.",
    {"set": "states.change", "unset": "states.change"},
)


@command(
    app,
    "list",
    examples=["chatstore states list", "chatstore states list --user ana -o jsonl"],
    exits=[ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE],
)
def list_(
    context: typer.Context,
    user: Annotated[str | None, typer.Option("--user", metavar="ID", help="Include only states of this user.")] = None,
    limit: PageLimitOption = None,
    all_: AllOption = False,
    cursor: CursorOption = None,
) -> None:
    """List the states of a Python agent by user and session.

    A state belongs to one user in one session. Its data is not listed. Each page ends with the cursor for the next page.
    """
    from chatstore_cli.render.rows.agent_states import STATE_COLUMNS, state_row
    from chatstore_cli.wiring.agent_states import agent_states

    invocation = Invocation(context)
    states = agent_states(invocation.stores)

    def read(after: str | None, size: int) -> RowPage:
        page = states.list_states(user, limit=size, cursor=after)
        return RowPage([state_row(each) for each in page.states], page.next_cursor)

    of_these = " with these options" if user or cursor else ""
    empty = f"No states{of_these} in {invocation.target}."
    emit_pages(invocation, STATE_COLUMNS, read, limit=limit, all_=all_, cursor=cursor, empty=empty)


@command(
    app,
    "get",
    examples=[
        "chatstore states get ana s-1",
        "chatstore states get ana s-1 cart.items[0].name -o json",
        """chatstore states get ana s-1 'prices["a.b"]'""",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE],
)
def get(
    context: typer.Context,
    user_id: UserArgument,
    session_id: SessionArgument,
    path: Annotated[
        str | None, typer.Argument(metavar="PATH", help="Show only the value under this path (default: all data).")
    ] = None,
    reveal: RevealOption = False,
) -> None:
    """Show the state of a user in a session, or one value of its data.

    A table has one line per value, under its path. A key with one of the characters .[]=" is in brackets and quotes in a
    path: prices["a.b"]. Values under names such as api_key and password are masked.
    """
    from chatstore_cli.core.agent_states.paths import checked_path, value_under
    from chatstore_cli.core.agents.paths import values_by_path
    from chatstore_cli.render.rows import agent_states as rows
    from chatstore_cli.wiring.agent_states import agent_states

    steps = () if path is None else checked_path(path)
    invocation = Invocation(context)
    state = agent_states(invocation.stores).get_state(user_id, session_id)
    if state is None:
        raise no_state(user_id, session_id)
    data = shown_config(state.data, reveal=reveal)
    if path is None:
        values = [{"path": each, "value": value} for each, value in values_by_path(data)]
        table = Listing(rows.DATA_COLUMNS, values, empty="The state has no data.")
        invocation.emit(Record(rows.STATE_FIELDS, rows.state_view_row(state, data), [("Data", table)]))
        return
    missing = object()
    value = value_under(data, steps, missing)
    if value is missing:
        raise no_value(user_id, session_id, path)
    invocation.emit(Record(rows.VALUE_FIELDS, rows.value_row(user_id, session_id, path, value)))
