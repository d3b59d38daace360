"""`chatstore resume`: a session's history, in a format with which a model or an agent framework can continue it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.file_names import JSON, JSON_LINES, check_file_name
from chatstore_cli.cli.filters import LayoutOption, SessionArgument
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.option_conflicts import is_given
from chatstore_cli.cli.readable_sessions import readable_readers
from chatstore_cli.core.sessions.resume import open_history
from chatstore_cli.domain.errors import ExitCode, WrongUse
from chatstore_cli.domain.quantities import quantity
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.render.json_text import safe_json
from chatstore_cli.render.listing import Column, Record
from chatstore_cli.render.output_format import OutputFormat
from chatstore_cli.wiring.system import new_file

app = single_command()


@command(
    app,
    "resume",
    examples=[
        "chatstore resume chat-5d1c07e2 | jq -r .content",
        "chatstore resume chat-5d1c07e2 --as ag2 --to history.json",
        "chatstore resume chat-5d1c07e2 --as openai --last 20",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)
def resume(
    context: typer.Context,
    session_id: SessionArgument,
    transcript: Annotated[
        str,
        typer.Option("--as", metavar="jsonl|ag2|openai", help="Write this format; ag2 and openai are a JSON array."),
    ] = "jsonl",
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="FILE", help="Write to this file, readable only by its owner (default: stdout)."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it exists.")] = False,
    last: Annotated[
        int | None, typer.Option("--last", metavar="N", min=1, help="Write only the newest N messages.")
    ] = None,
    after_sequence: Annotated[
        int | None,
        typer.Option("--after-sequence", metavar="N", help="Write only messages with a sequence number above N."),
    ] = None,
    include_general: Annotated[
        bool, typer.Option("--include-general", help="Include the messages of the general agent.")
    ] = False,
    layout: LayoutOption = None,
) -> None:
    """Print a session's history in order, for a model or an agent framework to continue.

    Messages of the general agent are left out, and --last counts the others. If a message had to be changed for AG2 or
    OpenAI's API to accept it, such as a tool result whose call is missing, the changes are counted on stderr. With -o
    json or yaml, jsonl becomes one object, {"items": [...], "next_cursor": null}.
    """
    invocation = Invocation(context, layout=layout)
    output = invocation.options.output
    if to is None and output in (OutputFormat.TABLE, OutputFormat.CSV, OutputFormat.MD):
        raise WrongUse(
            what=f"resume cannot print a history as {output}.",
            hint="Choose the format with --as: jsonl, ag2 or openai; or use -o json, jsonl or yaml.",
        )
    if to is not None:
        check_file_name(
            "--to",
            to,
            JSON_LINES if transcript == "jsonl" else JSON,
            is_chosen=is_given(context, "transcript"),
            say=invocation.say,
            hint="End the name with .jsonl, or choose the format with --as: jsonl, ag2 or openai.",
        )
    selection = MessageSelection(last, after_sequence, include_general)
    history = open_history(lambda: readable_readers(invocation, layout), session_id, selection, transcript)
    if to is None:
        _to_stdout()(_printed(history.pieces(), output, is_array=transcript != "jsonl"))
    else:
        with new_file(to, force=force, private=True) as stream:
            stream.writelines(history.pieces())
    sys.stdout.flush()
    for note in history.notes():
        invocation.say(note)
    if to is None:
        return
    invocation.say(
        f"Wrote {quantity(history.messages, 'message')} of session {session_id} ({history.session.layout}) to {to}."
    )
    if invocation.options.output is not None:
        row = {
            "session_id": history.session.session_id,
            "layout": history.session.layout,
            "messages": history.messages,
            "left_out": history.left_out,
            "file": to,
        }
        invocation.emit(Record([Column(key, key.replace("_", " ").upper()) for key in row], row))


def _printed(pieces: Iterable[bytes], output: OutputFormat | None, *, is_array: bool) -> Iterable[bytes]:
    """The transcript as `-o` asks for it. Transcripts other than jsonl are one JSON array, an object a line."""
    if output is OutputFormat.YAML:
        from chatstore_cli.render.yaml_text import yaml_items, yaml_list

        rows = (json.loads(line) for piece in pieces for line in piece.split(b"\n") if line.startswith(b"{"))
        return map(str.encode, yaml_list(rows) if is_array else yaml_items(rows))
    return pieces if is_array or output is not OutputFormat.JSON else _json_object(pieces)


def _json_object(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Lines of JSON as the object `{"items": [...], "next_cursor": null}`."""
    separator = b'{"items": [\n'
    for piece in pieces:
        if lines := piece.rstrip(b"\n"):
            yield separator + lines.replace(b"\n", b",\n")
            separator = b",\n"
    yield b'{"items": [], "next_cursor": null}\n' if separator != b",\n" else b'\n], "next_cursor": null}\n'


def _to_stdout() -> Callable[[Iterable[bytes]], None]:
    """Writes exact bytes into a pipe. On a terminal, control characters are written as JSON escapes, which mean the same."""
    if not sys.stdout.isatty():
        return sys.stdout.buffer.writelines
    return lambda pieces: sys.stdout.writelines(safe_json(piece.decode()) for piece in pieces)
