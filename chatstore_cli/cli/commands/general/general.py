"""`chatstore general`: lists the general chats of a user, and shows one."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.columns import ColumnsOption, chosen_columns
from chatstore_cli.cli.command_declarations import command, group
from chatstore_cli.cli.general_options import (
    ChatArgument,
    OwnerTenantOption,
    TenantOption,
    UserOption,
)
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.known_names import require_known_names
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.render.listing import Listing, Record

_MOST = 200

_LAZY_COMMANDS = {
    "start": "general.start",
    "append": "general.append",
    "transcript": "general.transcript",
}

app = group(
    "general",
    "List, show and start general chats, append messages and print transcripts.\n\n"
    "A general chat is a numbered session of a user with a general assistant. To continue one, use chatstore resume; to "
    "delete one, chatstore sessions delete.",
    _LAZY_COMMANDS,
)


@command(
    app,
    "list",
    examples=[
        "chatstore general list --tenant acme --user ana",
        "chatstore general list --tenant acme --user ana -o json",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE],
)
def list_(
    context: typer.Context,
    tenant: TenantOption,
    user: UserOption,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=_MOST, help="Show at most N general chats.")
    ] = 50,
    columns: ColumnsOption = None,
) -> None:
    """List the general chats of one user.

    The most recently created chat is first. To list the chats of all users, or more than 200 chats, use chatstore sessions
    list --layout general.
    """
    from chatstore_cli.core.general.view import with_titles
    from chatstore_cli.domain.queries import SessionQuery
    from chatstore_cli.render.rows.general import CHAT_COLUMNS, listed_chat_row
    from chatstore_cli.wiring.general import general_chats
    from chatstore_cli.wiring.labels import label_store

    invocation = Invocation(context, layout="general")
    shown = chosen_columns(CHAT_COLUMNS, columns)
    readers = invocation.stores.session_readers("general")
    chats = general_chats(invocation.stores, invocation.say)
    found = chats.list_general_chats(app_id=tenant, user_id=user, limit=min(limit + 1, _MOST))
    if not found:
        require_known_names(invocation, readers, SessionQuery("general", tenant, user))
    labels = label_store(invocation.stores)
    titled = with_titles(found[:limit], labels)
    rows = [listed_chat_row(chat, tenant, user) for chat in titled]
    empty = f"User {user!r} of tenant {tenant!r} has no general chats in {invocation.target}."
    is_truncated = len(found) > limit or len(found) == _MOST
    ways = ["chatstore sessions list --layout general for all general chats"] if len(rows) == _MOST else []
    listing = Listing(shown, rows, empty=empty, is_truncated=is_truncated, rest=ways)
    invocation.emit_page(listing, labels.remarks)


@command(
    app,
    "show",
    examples=[
        "chatstore general show generalchat-acme-ana-0003",
        "chatstore general show generalchat-acme-ana-0003 --last 10 -o json",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE],
)
def show(
    context: typer.Context,
    session_id: ChatArgument,
    tenant: OwnerTenantOption = None,
    first: Annotated[int, typer.Option("--first", metavar="N", min=0, max=1000, help="Show the first N messages.")] = 3,
    last: Annotated[int, typer.Option("--last", metavar="N", min=0, max=1000, help="Show the last N messages.")] = 3,
) -> None:
    """Show one general chat with its first and last messages.

    The result includes the tokens and the cost. A table has one line per message. `-o json` prints messages in full.
    """
    from chatstore_cli.core.general.view import view_general_chat
    from chatstore_cli.render.rows.general import CHAT_FIELDS, TRANSCRIPT_COLUMNS, chat_view_row
    from chatstore_cli.wiring.general import general_chats
    from chatstore_cli.wiring.labels import label_store

    invocation = Invocation(context, layout="general")
    stores = invocation.stores
    chats = general_chats(stores, invocation.say)
    readers, labels = stores.session_readers("general"), label_store(stores)
    shown = view_general_chat(chats, readers, session_id, tenant, first=first, last=last, labels=labels)
    view = shown.view
    row = chat_view_row(view.session, view.first_messages, view.last_messages, shown.number, shown.last_sequence)
    sections = [
        ("First messages", Listing(TRANSCRIPT_COLUMNS, row["first_messages"])),
        ("Last messages", Listing(TRANSCRIPT_COLUMNS, row["last_messages"])),
    ]
    invocation.emit(Record(CHAT_FIELDS, row, sections))
    for note in view.notes:
        invocation.say(note)
