"""`chatstore sessions split`: make large documents smaller while the application continues to write to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.dry_runs import PLANNED, begin, confirmed, dry_run_option
from chatstore_cli.cli.filters import DocumentLayoutOption
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.core.segments.splitting import Splitting, existing_head, large_heads
from chatstore_cli.domain.byte_sizes import format_bytes, read_bytes
from chatstore_cli.domain.errors import ExitCode, WrongUse
from chatstore_cli.domain.quantities import quantity
from chatstore_cli.domain.segments import SEGMENT_BYTES, HeadSize, SegmentStore, SplitResult
from chatstore_cli.render.listing import Column, Listing
from chatstore_cli.render.rows.document_sizes import SPLIT_COLUMNS, split_row
from chatstore_cli.wiring.segments import document_layouts, document_sizes, segment_store

app = single_command()

_MAX_DOCUMENTS = 10_000


@command(
    app,
    "split",
    examples=["chatstore sessions split 4f1c9a", "chatstore sessions split --over 8MiB --dry-run"],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.FINDINGS, ExitCode.CONFLICT],
    meanings={ExitCode.FINDINGS: "findings: a session does not read the same as before"},
)
def split_(
    context: typer.Context,
    session_id: Annotated[str | None, typer.Argument(metavar="SESSION_ID", help="The exact id of the session.")] = None,
    over: Annotated[
        str | None,
        typer.Option("--over", metavar="SIZE", help="Split all documents of at least this size, for example 8MiB."),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            "--keep",
            metavar="SIZE",
            help="Leave at most this size in the document (default: 4MiB, or half of --over if that is less).",
        ),
    ] = None,
    layout: DocumentLayoutOption = None,
    dry_run: Annotated[bool, dry_run_option("split", "split")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Split without asking.")] = False,
) -> None:
    """Move the oldest messages of large documents into segments.

    It lists what would move and asks for confirmation (--yes skips the question). It can be interrupted at any time, and
    applications may append meanwhile. chatstore reads a document and its segments as one session; an application that reads
    the document itself finds only the newest messages. Each session is read before and after: if one reads differently, the
    command exits with status 6. A document that cannot be split is reported (`result` is failed) and does not stop the
    others; the command then exits with status 1. Flat messages and threads are left out: their documents stay small.
    """
    invocation = Invocation(context, layout=layout)
    begin(invocation, dry_run=dry_run, nothing="nothing is split")
    keep_bytes = _keep_bytes(over, keep)
    layouts = document_layouts(invocation.stores, layout)
    stores = {each: segment_store(invocation.stores, invocation.say, each) for each in layouts}
    heads = _chosen(invocation, stores, session_id, over)
    large = [head for head in heads if head.size_bytes > keep_bytes and head.message_count > 1]
    for head in heads:
        if head not in large:
            invocation.say(
                f"Session {head.session_id!r} has {format_bytes(head.size_bytes)}: no message needs to be moved."
            )
    columns = (*SPLIT_COLUMNS, Column("result", "RESULT", whole=True))
    if large and not confirmed(
        invocation, "\n".join(_plan(head, keep_bytes) for head in large), yes=yes, dry_run=dry_run
    ):
        planned = [{**split_row(SplitResult.planned(head)), "result": PLANNED} for head in large]
        invocation.emit(Listing(columns, planned))
        return
    readers = {each: invocation.stores.session_readers(each)[0] for each in layouts}
    splitting = Splitting(stores, readers, keep_bytes, is_named=session_id is not None, say=invocation.say)
    rows = ({**split_row(result), "result": result.outcome.value} for result in splitting.results(large))
    invocation.emit(Listing(columns, rows, empty="Nothing was split."))
    raise typer.Exit(splitting.exit_code())


def _keep_bytes(over: str | None, keep: str | None) -> int:
    if keep is not None:
        return read_bytes(keep, "--keep")
    return SEGMENT_BYTES if over is None else min(SEGMENT_BYTES, read_bytes(over, "--over") // 2)


def _chosen(
    invocation: Invocation, stores: Mapping[str, SegmentStore], session_id: str | None, over: str | None
) -> list[HeadSize]:
    if (session_id is None) == (over is None):
        raise WrongUse(what="Name one session, or select all large ones with --over SIZE.")
    if session_id is not None:
        return [existing_head(stores, session_id)]
    sizes = [document_sizes(invocation.stores, layout) for layout in stores]
    return large_heads(sizes, _MAX_DOCUMENTS, read_bytes(over or "", "--over"))


def _plan(head: HeadSize, keep_bytes: int) -> str:
    size = f"{format_bytes(head.size_bytes)}, {quantity(head.message_count, 'message')}"
    moving = format_bytes(max(1, head.size_bytes - keep_bytes))
    return f"Session {head.session_id!r} ({size}): the oldest {moving} would move into segments."
