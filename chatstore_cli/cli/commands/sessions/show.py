"""`chatstore sessions show`: one session with its first and last messages."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.filters import LayoutOption, SessionArgument
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.options import command, single_command
from chatstore_cli.core.sessions.listing import show_session
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.render.listing import Listing, Record
from chatstore_cli.render.rows.artifacts import artifact_fields, artifact_values
from chatstore_cli.render.rows.sessions import MESSAGE_COLUMNS, SESSION_FIELDS, session_view_row
from chatstore_cli.wiring.artifacts import artifact_reader
from chatstore_cli.wiring.labels import shown_labels

app = single_command()


@command(
    app,
    "show",
    examples=["chatstore sessions show 4f1c9a", "chatstore sessions show 4f1c9a --last 10 -o json"],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)
def show(
    context: typer.Context,
    session_id: SessionArgument,
    layout: LayoutOption = None,
    first: Annotated[int, typer.Option("--first", metavar="N", min=0, max=1000, help="Show the first N messages.")] = 3,
    last: Annotated[int, typer.Option("--last", metavar="N", min=0, max=1000, help="Show the last N messages.")] = 3,
) -> None:
    """Show one session with its first and last messages.

    A table has one line per message; `-o json` prints messages in full. If the messages expire, the result shows when. For
    a workflow session, `last_artifact` is the artifact that it showed last, and `artifact` the one that it works on.
    """
    invocation = Invocation(context, layout=layout)
    view = show_session(
        invocation.stores.session_readers(layout),
        session_id,
        first=first,
        last=last,
        artifacts=lambda: artifact_reader(invocation.stores),
        labels=shown_labels(invocation.stores, layout),
    )
    row = session_view_row(view.session, view.first_messages, view.last_messages, view.expiry)
    row |= artifact_values(view.artifacts)
    sections = [
        ("First messages", Listing(MESSAGE_COLUMNS, row["first_messages"])),
        ("Last messages", Listing(MESSAGE_COLUMNS, row["last_messages"])),
    ]
    invocation.emit(Record((*SESSION_FIELDS, *artifact_fields(row)), row, sections))
    for note in view.notes:
        invocation.say(note)
