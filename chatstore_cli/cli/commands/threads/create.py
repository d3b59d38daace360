"""`chatstore threads create|rename`: creates a thread, or changes its name."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.thread_options import OwnerTenantOption, OwnerUserOption, ThreadArgument, owner_of
from chatstore_cli.domain.errors import ExitCode, ThreadNotFound
from chatstore_cli.render.listing import Record

app = single_command()

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The name: 1 to 10,000 characters.")]


@command(
    app,
    "create",
    examples=[
        "chatstore threads create 'Trip to Lisbon' --user ana --tenant acme",
        "chatstore threads create 'Trip to Lisbon' --user ana -o json | jq -r .thread_id",
    ],
    exits=[ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)
def create(
    context: typer.Context,
    name: NameArgument,
    user: Annotated[str, typer.Option("--user", metavar="ID", help="The user who owns the thread.")] = "default_user",
    tenant: Annotated[
        str, typer.Option("--tenant", metavar="ID", help="The tenant that the thread belongs to.")
    ] = "default_org",
) -> None:
    """Create a thread without messages.

    The defaults of --user and --tenant are those of the library's StateManager. Each run creates another thread.
    """
    from chatstore_cli.domain.threads.models import CreateChatThreadRequest
    from chatstore_cli.render.rows.threads import CHANGED_THREAD_FIELDS, thread_row
    from chatstore_cli.wiring.threads import conversations

    invocation = Invocation(context, layout="threads")
    invocation.will_write()
    request = CreateChatThreadRequest.model_construct(user_id=user, org_id=tenant, name=name)
    thread = conversations(invocation.stores).create_thread(request)
    invocation.emit(Record(CHANGED_THREAD_FIELDS, thread_row(thread)))


@command(
    app,
    "rename",
    examples=["chatstore threads rename 0d5c7a1e 'Trip to Porto'"],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)
def rename(
    context: typer.Context,
    thread_id: ThreadArgument,
    name: NameArgument,
    user: OwnerUserOption = None,
    tenant: OwnerTenantOption = None,
) -> None:
    """Change the name of a thread. The former name is not kept."""
    from chatstore_cli.render.rows.threads import CHANGED_THREAD_FIELDS, thread_row
    from chatstore_cli.wiring.threads import conversations

    invocation = Invocation(context, layout="threads")
    invocation.will_write()
    repository = conversations(invocation.stores)
    thread = repository.update_thread(thread_id, owner=owner_of(user, tenant), name=name)
    if thread is None:
        raise ThreadNotFound(thread_id=thread_id)
    invocation.emit(Record(CHANGED_THREAD_FIELDS, thread_row(thread)))
