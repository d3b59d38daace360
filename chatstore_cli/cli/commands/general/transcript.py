"""`chatstore general transcript`: the messages of a general chat, streamed or page by page."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.general_options import ChatArgument, OwnerTenantOption
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.render.listing import Listing

app = single_command()


@command(
    app,
    "transcript",
    examples=[
        "chatstore general transcript generalchat-acme-ana-0003 --limit 20",
        "chatstore general transcript generalchat-acme-ana-0003 -o jsonl | jq -r .content",
        "chatstore general transcript generalchat-acme-ana-0003 --after-sequence 0 --limit 100 -o json",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE],
)
def transcript(
    context: typer.Context,
    session_id: ChatArgument,
    tenant: OwnerTenantOption = None,
    after_sequence: Annotated[
        int | None,
        typer.Option("--after-sequence", metavar="N", min=0, help="Show only messages with a sequence number above N."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            metavar="N",
            min=1,
            max=2000,
            help="Show at most N messages: the newest, or with --after-sequence the oldest (default: all).",
        ),
    ] = None,
) -> None:
    """Show the messages of a general chat in order.

    The output is written while the messages are read. To read a chat in pages without missing a message, begin with
    --after-sequence 0 and --limit. A notice shows the --after-sequence of the next page. With -o json,
    `next_after_sequence` has the same value, or null on the last page.
    """
    from chatstore_cli.core.general.view import find_general_chat, page_of
    from chatstore_cli.domain.queries import MessageSelection
    from chatstore_cli.render.rows.general import TRANSCRIPT_COLUMNS
    from chatstore_cli.render.rows.sessions import message_row

    invocation = Invocation(context, layout="general")
    reader, session = find_general_chat(invocation.stores.session_readers("general"), session_id, tenant)
    empty = "The general chat has no messages."
    if after_sequence is not None:
        empty = f"The general chat has no messages after sequence {after_sequence}."
    newest = limit if after_sequence is None else None
    # Sequence numbers begin at 1. After 0 come all messages, also first messages without a number.
    selection = MessageSelection(last=newest, after_sequence=after_sequence or None)
    messages = reader.messages(session.session_id, selection)
    if limit is None or after_sequence is None:
        invocation.emit(Listing(TRANSCRIPT_COLUMNS, map(message_row, messages), empty=empty, streamed=True))
        return
    page = page_of(messages, limit)
    beside = {"next_after_sequence": page.next_after}
    following = None if page.next_after is None else f"--after-sequence {page.next_after}"
    rows = [*map(message_row, page.messages)]
    invocation.emit(Listing(TRANSCRIPT_COLUMNS, rows, empty=empty, beside=beside, next_option=following))
