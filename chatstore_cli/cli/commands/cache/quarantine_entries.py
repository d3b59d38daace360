"""`chatstore cache quarantine show|edit`: one quarantined line at a time."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.editor import edit_in_editor, require_terminal
from chatstore_cli.cli.filters import JournalPaths, MapOption
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.domain.errors import BadValue, ChatstoreError, ExitCode, WrongUse
from chatstore_cli.domain.quarantine import NumberedLine
from chatstore_cli.render.listing import Record
from chatstore_cli.render.rows.flush import EDIT_COLUMNS, QUARANTINE_FIELDS, edit_row, quarantine_line_row

app = single_command()

LineArgument = Annotated[
    str, typer.Argument(metavar="N", help="The number of the line in `cache quarantine list`, or its ID.")
]


@command(
    app,
    "show",
    examples=["chatstore cache quarantine show 1", "chatstore cache quarantine show 5f1c8a90d2e4b677 -o json"],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED],
)
def show(context: typer.Context, number: LineArgument, paths: JournalPaths = None) -> None:
    """Show a quarantined line with its place, reason and whole content.

    With -o json, `text` is the line, or null if its bytes are not text. `raw` contains its bytes in Base64, and `edit` an
    edit that was interrupted. A line over 96 MiB is in the file that `raw_file` names.
    """
    from chatstore_cli.core.flush.quarantine_edit import find_line
    from chatstore_cli.wiring.journals import named_journals

    invocation = Invocation(context)
    line = find_line(named_journals(invocation.settings, paths).numbered_lines(), number)
    invocation.emit(Record(QUARANTINE_FIELDS, quarantine_line_row(line)))


@command(
    app,
    "edit",
    examples=[
        "chatstore cache quarantine edit 1",
        "chatstore cache quarantine edit 1 --set role=assistant --set created_at=2026-03-02T11:41:00Z",
        "chatstore cache quarantine edit 5f1c8a90d2e4b677 --from corrected.json",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.PARTLY_DONE, ExitCode.CONFLICT],
    meanings={ExitCode.PARTLY_DONE: "the edited line cannot be stored; the line in quarantine is as it was"},
)
def edit(
    context: typer.Context,
    number: LineArgument,
    paths: JournalPaths = None,
    values: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace the value of this field; repeatable."),
    ] = None,
    from_file: Annotated[
        str | None, typer.Option("--from", metavar="FILE", help="Read the whole edited line from FILE (- for stdin).")
    ] = None,
    mapping: MapOption = None,
) -> None:
    """Correct a quarantined line and store it.

    Without --set and --from, the line opens in the editor that VISUAL or EDITOR names. The edited line is stored exactly
    once, and the entry leaves the quarantine. The journal is not changed. Whenever it is read again, for example with
    flush-cache --ignore-ledger or into another collection, the edited line takes the place of the line.

    The result is stored, already_stored (an equal message exists), deleted (the session was deleted) or quarantined (the
    reason shows why). If the command is interrupted, run it again, or run chatstore cache quarantine retry.

    --set reads a value of metadata, vector_ids and unknown fields as JSON if it is JSON. Other values are text.
    """
    from chatstore_cli.core.flush.quarantine_edit import find_line
    from chatstore_cli.core.retry import RetryPolicy
    from chatstore_cli.wiring.journals import named_journals
    from chatstore_cli.wiring.quarantine import line_editor

    if values and from_file is not None:
        raise WrongUse(what="--set and --from exclude each other.", hint="Give one of them.")
    invocation = Invocation(context)
    invocation.use_mapping(mapping)
    seconds = invocation.outage_limit(None, 60.0)
    journals = named_journals(invocation.settings, paths)
    line = find_line(journals.numbered_lines(), number)
    edited, kept = _edited(invocation, line, values, from_file)
    if edited is None:
        invocation.say("The line was not changed, so nothing was done.")
        return
    invocation.will_write()
    store = invocation.stores.message_store
    try:
        with line_editor(
            invocation.stores, journals, line, RetryPolicy(seconds, say=invocation.say, reach=store.reach)
        ) as editor:
            result = editor.edit(line.line.quarantine_id, edited)
        if result.result != "quarantined" and kept is not None:
            kept.unlink(missing_ok=True)
    finally:
        if kept is not None and kept.exists():
            invocation.say(f"The edited line is kept in {kept}: continue with --from FILE.")
    invocation.emit(Record(EDIT_COLUMNS, edit_row(result)))
    if result.result == "quarantined":
        raise typer.Exit(ExitCode.PARTLY_DONE)
    invocation.say_where_stored(int(result.result == "stored"))


def _edited(
    invocation: Invocation, line: NumberedLine, values: list[str] | None, from_file: str | None
) -> tuple[bytes | None, Path | None]:
    """The edited line, and the file in which an editor left it. Both are None if the editor changed nothing."""
    from chatstore_cli.core.flush.quarantine_edit import bounded, with_values
    from chatstore_cli.core.regular_files import regular_stream
    from chatstore_cli.wiring.quarantine import line_content

    if values:
        pairs = dict(_pair(value) for value in values)
        return with_values(bounded(line_content(line), "--set"), pairs), None
    if from_file is not None:
        try:
            with sys.stdin.buffer if from_file == "-" else regular_stream(Path(from_file)) as stream:
                return bounded(iter(lambda: stream.read(1 << 20), b""), "--from"), None
        except OSError as error:
            raise ChatstoreError(what=f"Cannot read {from_file}: {error.strerror or error}.") from error
    require_terminal("Give --set KEY=VALUE or --from FILE.", no_input=invocation.options.no_input)
    before = bounded(line_content(line), "--from")
    path = edit_in_editor([before, b"\n"])
    edited = path.read_bytes()
    if edited.strip() == before.strip():
        path.unlink()
        return None, None
    return edited, path


def _pair(value: str) -> tuple[str, str]:
    key, equals, text = value.partition("=")
    if not equals or not key:
        raise BadValue(name="--set", value=value, expected="KEY=VALUE")
    return key, text
