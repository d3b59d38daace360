"""`chatstore sessions show`: one session with its first and last messages, or the whole conversation."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.filters import LayoutOption, RedactOption, SessionArgument
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.option_conflicts import reject_options_without
from chatstore_cli.cli.readable_sessions import readable_readers
from chatstore_cli.cli.redaction import redactor_if
from chatstore_cli.core.sessions.listing import LARGEST_PAGE, show_session
from chatstore_cli.domain.conversation import ToolDisplay
from chatstore_cli.domain.errors import ExitCode, WrongUse
from chatstore_cli.render.listing import Listing, Record
from chatstore_cli.render.rows.artifacts import artifact_fields, artifact_values
from chatstore_cli.render.rows.sessions import MESSAGE_COLUMNS, SESSION_FIELDS, session_view_row
from chatstore_cli.wiring.artifacts import artifact_reader
from chatstore_cli.wiring.labels import shown_labels

app = single_command()


@command(
    app,
    "show",
    examples=[
        "chatstore sessions show 4f1c9a",
        "chatstore sessions show 4f1c9a --last 10 -o json",
        "chatstore sessions show 4f1c9a --full",
        "chatstore sessions show 4f1c9a --full --redact -o md --to ticket.md",
        "chatstore sessions show 4f1c9a --full -o html --to conversation.html",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)
def show(
    context: typer.Context,
    session_id: SessionArgument,
    layout: LayoutOption = None,
    first: Annotated[
        int | None, typer.Option("--first", metavar="N", min=0, max=1000, help="Show the first N messages (default 3).")
    ] = None,
    last: Annotated[
        int | None,
        typer.Option(
            "--last", metavar="N", min=0, help="Show the last N messages (default 3, at most 1,000; with --full, all)."
        ),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Show the whole conversation.")] = False,
    tools: Annotated[
        ToolDisplay | None,
        typer.Option(
            "--tools", help="With --full, show tool calls and results in a line each (default), whole, or not."
        ),
    ] = None,
    redact: RedactOption = False,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="FILE",
            help="With --full, write to this file, readable only by its owner. Without -o, the end of its name, such as .json or .md, selects the format.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="With --to, overwrite the file if it exists.")] = False,
) -> None:
    """Show a session with some or all of its messages.

    Without --full, a table has one line per message, and `-o json` prints messages in full. If the messages expire, the
    result shows when. For a workflow session, `last_artifact` is the artifact that it showed last, and `artifact` the one
    that it works on.

    With --full, every message is printed as it is read. On a terminal the text is wrapped and shown in a pager. `-o md` is
    for tickets, `-o html` is a file for a browser, and -o json, jsonl, yaml and csv have whole messages. Instead of a
    picture or file, a line shows its type and size; json, jsonl, yaml and csv have its data. With --redact, `redacted` in
    JSON has the number of different values of each kind, and pictures and files are left out.
    """
    from chatstore_cli.cli.commands.sessions.full_conversation import FullOptions, show_full

    invocation = Invocation(context, layout=layout, prints_html=full)
    if full:
        if first is not None or last == 0:
            what = "--first and --last 0 cannot be combined with --full."
            raise WrongUse(what=what, hint="--full shows all messages, or the last N with --last N.")
        return show_full(invocation, session_id, layout, FullOptions(tools, last, redact, to, force))
    reject_options_without(context, "--full", "--tools", "--to", "--force")
    if last is not None and last > LARGEST_PAGE:
        raise WrongUse(what=f"--last can be at most {LARGEST_PAGE:,}.", hint="To show more, add --full.")
    view = show_session(
        readable_readers(invocation, layout),
        session_id,
        first=3 if first is None else first,
        last=3 if last is None else last,
        artifacts=lambda: artifact_reader(invocation.stores),
        labels=shown_labels(invocation.stores, layout),
    )
    redactor = redactor_if(redact)
    if redactor is not None:
        view = view.changed(redactor.session, redactor.message)
    row = session_view_row(view.session, view.first_messages, view.last_messages, view.expiry)
    artifacts = artifact_values(view.artifacts)
    row |= artifacts if redactor is None else redactor.value(artifacts)
    if redactor is not None:
        row["redacted"] = redactor.counts
    sections = [
        ("First messages", Listing(MESSAGE_COLUMNS, row["first_messages"])),
        ("Last messages", Listing(MESSAGE_COLUMNS, row["last_messages"])),
    ]
    invocation.emit(Record((*SESSION_FIELDS, *artifact_fields(row)), row, sections))
    for note in [*view.notes, *([redactor.notice()] if redactor is not None else [])]:
        invocation.say(note)
    return None
