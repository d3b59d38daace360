"""`chatstore threads fork`: copies a thread, or its beginning, to a new thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.thread_options import OwnerTenantOption, OwnerUserOption, ThreadArgument, owner_of
from chatstore_cli.domain.errors import ExitCode, Interrupted, MessageNotFound
from chatstore_cli.render.listing import Record

if TYPE_CHECKING:
    from chatstore_cli.domain.threads.ports import ConversationRepository, Owner

app = single_command()


@command(
    app,
    "fork",
    examples=["chatstore threads fork 0d5c7a1e", "chatstore threads fork 0d5c7a1e --at 12 --name 'Another ending'"],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)
def fork(
    context: typer.Context,
    thread_id: ThreadArgument,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="SEQUENCE|MESSAGE_ID",
            help="The last message to copy, by its sequence number or id (default: the last of the thread).",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="The name of the fork (default: that of the thread).")
    ] = None,
    user: OwnerUserOption = None,
    tenant: OwnerTenantOption = None,
) -> None:
    """Copy a thread, or its beginning, to a new thread.

    The fork belongs to the same user and tenant. The copied messages have new ids and keep their times. `forked_from`
    names the original thread. If the original is deleted, the fork remains. The fork is visible when it is complete.
    """
    from chatstore_cli.render.rows.threads import CHANGED_THREAD_FIELDS, thread_row
    from chatstore_cli.wiring.threads import conversations

    invocation = Invocation(context, layout="threads")
    invocation.will_write()
    repository, owner = conversations(invocation.stores), owner_of(user, tenant)
    try:
        sequence = None if at is None else _sequence(repository, thread_id, at, owner)
        copy = repository.fork_thread(thread_id, at_sequence=sequence, name=name, owner=owner)
    except KeyboardInterrupt:
        raise Interrupted(
            what="A fork is visible only when it is complete. To check, run chatstore threads list."
        ) from None
    invocation.emit(Record(CHANGED_THREAD_FIELDS, thread_row(copy)))


def _sequence(repository: ConversationRepository, thread_id: str, at: str, owner: Owner) -> int | None:
    """The sequence of the message that --at names. None if the thread does not exist, which the fork reports."""
    if repository.get_thread(thread_id, owner=owner, with_messages=False) is None:
        return None
    if at.isdecimal() and len(at) < 19:
        number = int(at)
        following = repository.iter_messages(thread_id, after_sequence=number - 1, owner=owner)
        if (found := next(following, None)) is not None and found.sequence == number:
            return number
    message = repository.get_message(at, owner=owner)
    if message is None or message.chat_thread_id != thread_id:
        raise MessageNotFound(message_id=at, thread_id=thread_id)
    return message.sequence
