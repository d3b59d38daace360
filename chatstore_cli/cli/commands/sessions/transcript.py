"""`chatstore sessions transcript`: the turns of several sessions as one transcript."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.filters import RedactOption
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.readable_sessions import readable_layouts
from chatstore_cli.cli.redaction import redactor_if
from chatstore_cli.domain.errors import ExitCode, PositionAhead
from chatstore_cli.domain.mixed_transcript import MixedTurn, ReplayBoundary, TranscriptSource
from chatstore_cli.render.listing import Listing

if TYPE_CHECKING:
    from chatstore_cli.core.redaction import Redactor

app = single_command()


@command(
    app,
    "transcript",
    examples=[
        "chatstore sessions transcript chat-5d1c07e2 generalchat-acme-ana-0003",
        "chatstore sessions transcript chat-5d1c07e2 generalchat-acme-ana-0003 --after chat-5d1c07e2=12 -o jsonl",
        "chatstore sessions transcript workflow:42 general:42",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)
def transcript(
    context: typer.Context,
    session_ids: Annotated[
        list[str],
        typer.Argument(
            metavar="SESSION_ID...",
            help="The exact ids of workflow sessions and general chats; LAYOUT:SESSION_ID if both layouts have the id.",
        ),
    ],
    after: Annotated[
        list[str] | None,
        typer.Option(
            "--after",
            metavar="SESSION_ID=SEQUENCE",
            help="Print only turns of this session with a higher sequence number; repeatable.",
        ),
    ] = None,
    redact: RedactOption = False,
) -> None:
    """Print the turns of several sessions as one transcript.

    The sessions are workflow sessions and general chats. Each session keeps its own order, and of their next turns the
    earliest comes first. With -o json, `source` is the session of a turn, `index` its position in that session from 0
    (null with --after), and `general` is true for a turn of a conversation with the general assistant. At the end, a notice
    shows the --after options with which the next run prints only later turns.
    """
    from chatstore_cli.core.mixed_transcript.names import named_positions, named_sources
    from chatstore_cli.core.mixed_transcript.replay import replay
    from chatstore_cli.domain.times import utc_now
    from chatstore_cli.render.rows.mixed_transcript import MIXED_TURN_COLUMNS, mixed_turn_row
    from chatstore_cli.wiring.mixed_transcript import transcript_readers

    invocation = Invocation(context)
    readers = transcript_readers(invocation.stores)
    readers = {each: readers[each] for each in readable_layouts(invocation, [*readers])}
    sources = named_sources(readers, session_ids, invocation.say)
    positions = named_positions(after or (), sources)
    try:
        records = replay(readers, sources.values(), positions=positions, clock=utc_now)
    except PositionAhead as error:
        error.hint = "Leave out --after for this session: it was deleted, or restored from a backup."
        raise
    end: list[ReplayBoundary] = []
    redactor = redactor_if(redact)

    def beside() -> dict[str, Any]:
        return {} if redactor is None else {"redacted": redactor.counts}

    def rows() -> Iterator[dict[str, Any]]:
        for record in records:
            if isinstance(record, MixedTurn):
                yield mixed_turn_row(record if redactor is None else _redacted(record, redactor))
            else:
                end.append(record)

    empty = "The sessions have no messages." if not after else "The sessions have no later messages."
    invocation.emit(Listing(MIXED_TURN_COLUMNS, rows(), empty=empty, streamed=True, beside_after=beside))
    if redactor is not None:
        invocation.say(redactor.notice())
    for boundary in end:
        invocation.say(_continuation(sources, boundary))


def _redacted(turn: MixedTurn, redactor: Redactor) -> MixedTurn:
    source = turn.source._replace(session_id=redactor.text(turn.source.session_id))
    return turn._replace(source=source, message=redactor.message(turn.message))


def _continuation(names: Mapping[str, TranscriptSource], boundary: ReplayBoundary) -> str:
    """The options with which the next run prints only later turns. Sessions without sequences have none."""
    # The boundary has the sessions in the order of the names; their ids may be other names of the same sessions.
    options = [
        f"--after {shlex.quote(f'{name}={state.position.sequence}')}"
        for name, state in zip(names, boundary.sources, strict=True)
        if state.position.sequence not in (None, -1, 0)
    ]
    return f"To print only later turns, add: {' '.join(options)}" if options else "Run it again to print all turns."
