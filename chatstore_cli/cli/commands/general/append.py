"""`chatstore general append`: appends one message to a general chat."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.general_options import ChatArgument
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.message_input import is_piped, read_content, read_object, read_text
from chatstore_cli.cli.thread_options import FileOption, TextOption
from chatstore_cli.core.choices import require_one_of
from chatstore_cli.domain.errors import Conflict, ExitCode, WrongUse
from chatstore_cli.render.listing import Record

app = single_command()

_ROLES = ("user", "assistant")


@command(
    app,
    "append",
    examples=[
        "chatstore general append generalchat-acme-ana-0003 --tenant acme --role user --text 'What is open today?'",
        "chatstore general append generalchat-acme-ana-0003 --tenant acme --role assistant < answer.txt",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)
def append(
    context: typer.Context,
    session_id: ChatArgument,
    tenant: Annotated[
        str,
        typer.Option("--tenant", metavar="ID", help="The tenant. Other tenants' general chats count as missing."),
    ],
    role: Annotated[str, typer.Option("--role", metavar="user|assistant", help="The role of the message.")],
    text: TextOption = None,
    file: FileOption = None,
    user: Annotated[
        str | None,
        typer.Option("--user", metavar="ID", help="Require this user. Other users' general chats count as missing."),
    ] = None,
    metadata: Annotated[
        str | None, typer.Option("--metadata", metavar="JSON", help="Store this JSON object with the message.")
    ] = None,
    message_id: Annotated[
        str | None,
        typer.Option(
            "--message-id",
            metavar="ID",
            help="The id of the message (default: a new id). If it is already stored with the same role and text, nothing is stored.",
        ),
    ] = None,
) -> None:
    """Append a message to a general chat.

    Without --text and --file, the text is read from stdin. The stored metadata always has the keys that the platform
    expects, such as `source`. If --metadata has one of these keys, its value replaces the default. In a message of the
    assistant, `agent_name` in the metadata is the speaker (`name` in results).
    """
    from chatstore_cli.domain.storable_values import Alterations, storable_value
    from chatstore_cli.render.rows.general import APPENDED_FIELDS, appended_row
    from chatstore_cli.wiring.general import general_chats

    require_one_of("--role", role, _ROLES)
    content = read_content(text, file, None)
    if content is None and not is_piped():
        raise WrongUse(what="No text was given.", hint="Give --text or --file, or pipe the text.")
    given_metadata = None if metadata is None else read_object(metadata, "--metadata")
    invocation = Invocation(context, layout="general")
    invocation.will_write()
    message_text = str(read_text("-") if content is None else content)
    message = general_chats(invocation.stores, invocation.say).append_general_message(
        general_chat_id=session_id,
        app_id=tenant,
        role=role,
        content=message_text,
        user_id=user,
        metadata=given_metadata,
        event_id=message_id,
    )
    if message_id is not None and (message["role"], message["content"]) != (
        role,
        storable_value(message_text, Alterations()),
    ):
        what = f"Message {message_id!r} of session {session_id!r} is already stored with another role or text."
        raise Conflict(what=f"{what} Nothing was stored.", hint="Choose another --message-id.")
    invocation.emit(Record(APPENDED_FIELDS, appended_row(session_id, message)))
