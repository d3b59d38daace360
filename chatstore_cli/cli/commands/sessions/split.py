"""`chatstore sessions split`: make large documents smaller, while the application goes on writing to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.options import command, single_command
from chatstore_cli.domain.errors import ExitCode, WrongUse
from chatstore_cli.render.listing import Column, Listing
from chatstore_cli.render.rows.document_sizes import SPLIT_COLUMNS, split_row

if TYPE_CHECKING:
    from chatstore_cli.domain.workflow.segments import HeadSize

app = single_command()

_MOST = 10_000


@command(
    app,
    "split",
    examples=["chatstore sessions split 4f1c9a", "chatstore sessions split --over 8MiB --yes"],
    exits=[
        ExitCode.NOT_FOUND,
        ExitCode.NOT_ALLOWED,
        ExitCode.UNREACHABLE,
        ExitCode.FINDINGS,
        ExitCode.CONFLICT,
    ],
    meanings={ExitCode.FINDINGS: "findings: a session does not read the same as before"},
)
def split_(
    context: typer.Context,
    session_id: Annotated[str | None, typer.Argument(metavar="SESSION_ID", help="The exact id of the session.")] = None,
    over: Annotated[str | None, typer.Option("--over", metavar="SIZE", help="All documents from this size on.")] = None,
    keep: Annotated[
        str | None,
        typer.Option("--keep", metavar="SIZE", help="What stays at most [default: 4MiB, or half of --over if less]."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it.")] = False,
) -> None:
    """Move the oldest messages of large documents into segments.

    Says first what would move, and does nothing without --yes. Nothing is lost where this is stopped, and an application
    may append meanwhile. chatstore reads both parts as one session; an application that reads the document itself finds
    only the newest messages there. Each session is read before and afterwards: ends with 6 where one reads differently.
    A document that cannot be split is told and stops no other: `result` is then failed, and the command ends with 1.
    """
    from chatstore_cli.core.workflow.splitting import Splitting
    from chatstore_cli.domain.byte_sizes import format_bytes
    from chatstore_cli.wiring.segments import segment_store

    invocation = Invocation(context)
    invocation.will_write()
    keep_bytes = _keep_bytes(over, keep)
    heads = _chosen(invocation, session_id, over)
    large = [head for head in heads if head.size_bytes > keep_bytes and head.message_count > 1]
    for head in heads:
        if head not in large:
            invocation.say(f"Session {head.session_id!r} has {format_bytes(head.size_bytes)}: nothing is to be moved.")
    if large:
        invocation.confirm("\n".join(_plan(head, keep_bytes) for head in large), yes=yes)
    [reader] = invocation.stores.session_readers("workflow")
    store, named = segment_store(invocation.stores, invocation.say), session_id is not None
    splitting = Splitting(store, reader, keep_bytes, named=named, say=invocation.say)
    rows = ({**split_row(result), "result": result.outcome.value} for result in splitting.results(large))
    columns = (*SPLIT_COLUMNS, Column("result", "RESULT", whole=True))
    invocation.emit(Listing(columns, rows, empty="Nothing was split."))
    raise typer.Exit(splitting.end())


def _keep_bytes(over: str | None, keep: str | None) -> int:
    from chatstore_cli.domain.byte_sizes import read_bytes
    from chatstore_cli.domain.workflow.segments import SEGMENT_BYTES

    if keep is not None:
        return read_bytes(keep, "--keep")
    return SEGMENT_BYTES if over is None else min(SEGMENT_BYTES, read_bytes(over, "--over") // 2)


def _chosen(invocation: Invocation, session_id: str | None, over: str | None) -> list[HeadSize]:
    from chatstore_cli.core.workflow.splitting import found_heads, head_of
    from chatstore_cli.domain.byte_sizes import read_bytes
    from chatstore_cli.wiring.segments import document_sizes, segment_store

    if (session_id is None) == (over is None):
        raise WrongUse(what="Name one session, or all large ones with --over SIZE.")
    if session_id is not None:
        return [head_of(segment_store(invocation.stores), session_id)]
    return found_heads(document_sizes(invocation.stores), _MOST, read_bytes(over or "", "--over"))


def _plan(head: HeadSize, keep_bytes: int) -> str:
    from chatstore_cli.domain.byte_sizes import format_bytes

    size = f"{format_bytes(head.size_bytes)}, {head.message_count:,} messages"
    moving = format_bytes(max(1, head.size_bytes - keep_bytes))
    return f"Session {head.session_id!r} ({size}): the oldest {moving} would be moved into segments of their own."
