"""`chatstore general start`: creates the next general chat of a user."""

from __future__ import annotations

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.general_options import TenantOption, UserOption
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.render.listing import Record

app = single_command()


@command(
    app,
    "start",
    examples=[
        "chatstore general start --tenant acme --user ana",
        "chatstore general start --tenant acme --user ana -o json | jq -r .session_id",
    ],
    exits=[ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)
def start(context: typer.Context, tenant: TenantOption, user: UserOption) -> None:
    """Create the next general chat of a user, without messages.

    The chats of each user of a tenant are numbered from 1. A number is never used again, not even after its chat was
    deleted. Each run of this command creates another chat.
    """
    from chatstore_cli.render.rows.general import STARTED_FIELDS, started_row
    from chatstore_cli.wiring.general import general_chats

    invocation = Invocation(context, layout="general")
    invocation.will_write()
    chat = general_chats(invocation.stores, invocation.say).create_general_chat_session(app_id=tenant, user_id=user)
    invocation.emit(Record(STARTED_FIELDS, started_row(chat, tenant, user)))
