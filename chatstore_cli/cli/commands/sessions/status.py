"""`chatstore sessions complete|fail|pause|unpause`: change the state of an agent workflow's session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from chatstore_cli.cli.filters import SessionArgument
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.options import command, single_command
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.render.listing import Listing
from chatstore_cli.render.rows.transitions import TRANSITION_COLUMNS, transition_row

if TYPE_CHECKING:
    from chatstore_cli.core.workflow.lifecycle import Step

app = single_command()

_EXITS = [ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT]

ReasonOption = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Kept with the session.")]


@command(app, "complete", examples=["chatstore sessions complete 4f1c9a"], exits=_EXITS)
def complete(context: typer.Context, session_id: SessionArgument) -> None:
    """Mark a running session of an agent workflow as completed.

    One that has failed, or is paused, is left as it is. A new message, or a new run, makes it run again.
    """
    from chatstore_cli.core.workflow.lifecycle import Step

    _take(context, Step.COMPLETE, session_id)


@command(app, "fail", examples=["chatstore sessions fail 4f1c9a --reason 'agent host lost'"], exits=_EXITS)
def fail(context: typer.Context, session_id: SessionArgument, reason: ReasonOption = None) -> None:
    """Mark a running or paused session of an agent workflow as failed.

    One that is completed is left as it is. A new message, or a new run, makes it run again.
    """
    from chatstore_cli.core.workflow.lifecycle import Step

    _take(context, Step.FAIL, session_id, reason)


@command(app, "pause", examples=["chatstore sessions pause 4f1c9a --reason 'waits for approval'"], exits=_EXITS)
def pause(context: typer.Context, session_id: SessionArgument, reason: ReasonOption = None) -> None:
    """Mark a running session of an agent workflow as paused.

    The end of a run does not complete a paused session, and `start_run` refuses it; whoever resumes it is told that it is
    paused. One that has ended is not paused.
    """
    from chatstore_cli.core.workflow.lifecycle import Step

    _take(context, Step.PAUSE, session_id, reason)


@command(app, "unpause", examples=["chatstore sessions unpause 4f1c9a"], exits=_EXITS)
def unpause(context: typer.Context, session_id: SessionArgument) -> None:
    """Remove the pause mark of a session."""
    from chatstore_cli.core.workflow.lifecycle import Step

    _take(context, Step.UNPAUSE, session_id)


def _take(context: typer.Context, step: Step, session_id: str, reason: str | None = None) -> None:
    from chatstore_cli.core.workflow.lifecycle import Step, lifecycle
    from chatstore_cli.wiring.workflow import chat_writer

    invocation = Invocation(context)
    invocation.will_write()
    taken = lifecycle(chat_writer(invocation.stores)).take(step, session_id, reason=reason)
    invocation.emit(Listing(TRANSITION_COLUMNS, [transition_row(taken)]))
    if not taken.changed:
        stands = f"is {taken.in_words}, and not paused" if step is Step.UNPAUSE else f"is {taken.in_words} already"
        kept = " Its reason stays as it was." if reason is not None else ""
        invocation.say(f"Nothing was changed: session {taken.chat_id!r} {stands}.{kept}")
