"""`chatstore threads add`: adds one message to a thread, or the messages of a JSON lines file."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.message_input import is_piped, opened_twice, read_content, read_object, read_text, require_one
from chatstore_cli.cli.thread_options import (
    ContentOption,
    FileOption,
    OwnerTenantOption,
    OwnerUserOption,
    TextOption,
    ThreadArgument,
    owner_of,
)
from chatstore_cli.core.choices import not_one_of
from chatstore_cli.domain.errors import ExitCode, ThreadNotFound, WrongUse
from chatstore_cli.domain.message import ROLES
from chatstore_cli.domain.threads.ports import Owner
from chatstore_cli.render.listing import Record

app = single_command()


@command(
    app,
    "add",
    examples=[
        "chatstore threads add 0d5c7a1e --role user --text 'Which ferry is the earliest?'",
        "chatstore threads add 0d5c7a1e --role assistant --sender planner < answer.txt",
        "chatstore threads add 0d5c7a1e --jsonl messages.jsonl",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)
def add(
    context: typer.Context,
    thread_id: ThreadArgument,
    role: Annotated[
        str | None, typer.Option("--role", metavar="ROLE", help="The role: user, assistant, system or tool.")
    ] = None,
    text: TextOption = None,
    file: FileOption = None,
    content: ContentOption = None,
    sender: Annotated[
        str | None, typer.Option("--sender", metavar="ID", help="The speaker (`name` in results).")
    ] = None,
    metadata: Annotated[
        str | None, typer.Option("--metadata", metavar="JSON", help="Store this JSON object with the message.")
    ] = None,
    message_id: Annotated[
        str | None,
        typer.Option(
            "--message-id", metavar="ID", help="The id of the message. A repetition with the same id stores nothing."
        ),
    ] = None,
    jsonl: Annotated[
        str | None, typer.Option("--jsonl", metavar="FILE", help="Add a message for each line of FILE (- for stdin).")
    ] = None,
    user: OwnerUserOption = None,
    tenant: OwnerTenantOption = None,
) -> None:
    """Add a message, or many messages, at the end of a thread.

    Without --text, --file, --content and --jsonl, the text is read from stdin. If --message-id is the id of a stored
    message with another content, role, sender or thread, the command exits with status 8.

    Each line for --jsonl is an object with `role` and `content` (a text or an object). It may also have `name`,
    `metadata` and `message_id`. All lines are checked first. If lines are invalid, the error lists them and nothing is
    stored. Then the messages are stored in batches of at most 1,000 messages or 12 MiB. If the command is interrupted,
    the error reports which lines are stored. If every line has a `message_id`, run the command again.
    """
    from chatstore_cli.core.threads.requests import message_request
    from chatstore_cli.render.rows.threads import THREAD_MESSAGE_FIELDS, changed_message_row
    from chatstore_cli.wiring.threads import conversations

    require_one(jsonl=jsonl, text=text, file=file, content=content)
    of_one = {"--role": role, "--sender": sender, "--metadata": metadata, "--message-id": message_id}
    if jsonl is not None and (given := [name for name, value in of_one.items() if value is not None]):
        raise WrongUse(what=f"--jsonl and {given[0]} exclude each other.", hint="Put the value into each line.")
    if jsonl is None and role not in ROLES:
        if role is None:
            hint = "Give --role user, assistant, system or tool. To add many messages, use --jsonl FILE."
            raise WrongUse(what="--role is missing.", hint=hint)
        raise not_one_of("--role", role, sorted(ROLES))
    if jsonl is text is file is content is None and not is_piped():
        raise WrongUse(what="No text was given.", hint="Give --text, --file, --content or --jsonl, or pipe the text.")
    attached = None if metadata is None else read_object(metadata, "--metadata")
    invocation = Invocation(context, layout="threads")
    invocation.will_write()
    owner = owner_of(user, tenant)
    if jsonl is not None:
        _add_lines(invocation, thread_id, jsonl, owner)
        return
    said = read_content(text, file, content)
    request = message_request(
        thread_id, str(role), read_text("-") if said is None else said, sender, attached, message_id
    )
    message = conversations(invocation.stores).create_message(request, owner=owner)
    invocation.emit(Record(THREAD_MESSAGE_FIELDS, changed_message_row(message)))


def _add_lines(invocation: Invocation, thread_id: str, path: str, owner: Owner) -> None:
    """Add the messages of a file, all of whose lines are checked first."""
    from chatstore_cli.core.threads.message_lines import MessageLines
    from chatstore_cli.render.rows.threads import ADDED_FIELDS, added_row
    from chatstore_cli.wiring.threads import conversations

    invocation.will_write()
    repository = conversations(invocation.stores)
    if repository.get_thread(thread_id, owner=owner, with_messages=False) is None:
        raise ThreadNotFound(thread_id=thread_id)
    with opened_twice(path) as stream:
        lines = MessageLines(stream, "stdin" if path == "-" else path, thread_id)
        lines.check()
        with invocation.progress(stream.seek(0, os.SEEK_END)) as show:
            added = lines.store(repository, owner, show)
    invocation.emit(Record(ADDED_FIELDS, added_row(thread_id, added)))
