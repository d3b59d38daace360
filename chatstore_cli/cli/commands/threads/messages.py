"""`chatstore threads messages`: the messages of a thread, streamed."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.thread_options import OwnerTenantOption, OwnerUserOption, ThreadArgument, owner_of
from chatstore_cli.domain.errors import ExitCode, ThreadNotFound
from chatstore_cli.render.listing import Listing

app = single_command()


@command(
    app,
    "messages",
    examples=[
        "chatstore threads messages 0d5c7a1e --last 20",
        "chatstore threads messages 0d5c7a1e -o jsonl | jq -r .content",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE],
)
def messages(
    context: typer.Context,
    thread_id: ThreadArgument,
    last: Annotated[
        int | None, typer.Option("--last", metavar="N", min=1, help="Show only the newest N messages.")
    ] = None,
    after: Annotated[
        int | None,
        typer.Option("--after", metavar="SEQUENCE", min=0, help="Show only messages with a higher sequence number."),
    ] = None,
    user: OwnerUserOption = None,
    tenant: OwnerTenantOption = None,
) -> None:
    """Show the messages of a thread in order.

    The output is written while the messages are read, so a thread of any length needs little memory. With -o json,
    `content` is the text of a message, or its object if it is not a text. `name` is the speaker. `edits` has the former
    contents of an edited message. To print the messages for a model's prompt, use chatstore resume.
    """
    from chatstore_cli.render.rows.threads import THREAD_MESSAGE_COLUMNS, thread_message_row
    from chatstore_cli.wiring.threads import conversations

    invocation = Invocation(context, layout="threads")
    repository = conversations(invocation.stores)
    owner = owner_of(user, tenant)
    if repository.get_thread(thread_id, owner=owner, with_messages=False) is None:
        raise ThreadNotFound(thread_id=thread_id)
    found = repository.iter_messages(thread_id, after_sequence=after, last=last, owner=owner)
    rows = map(thread_message_row, found)
    empty = "The thread has no messages." if after is None else f"The thread has no messages after sequence {after}."
    invocation.emit(Listing(THREAD_MESSAGE_COLUMNS, rows, empty=empty, streamed=True))
