"""`chatstore sessions sizes`: the largest documents, and when each reaches the limit of 16 MiB."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.filters import DocumentLayoutOption
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.core.segments.splitting import growth_of, largest_documents
from chatstore_cli.domain.byte_sizes import read_bytes
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.domain.times import utc_now
from chatstore_cli.render.listing import Listing
from chatstore_cli.render.rows.document_sizes import SIZE_COLUMNS, size_row
from chatstore_cli.wiring.segments import document_layouts, document_sizes

app = single_command()


@command(
    app,
    "sizes",
    examples=["chatstore sessions sizes", "chatstore sessions sizes --over 8MiB --limit 1000 -o csv"],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE],
)
def sizes(
    context: typer.Context,
    over: Annotated[
        str | None,
        typer.Option("--over", metavar="SIZE", help="List only documents of at least this size, for example 8MiB."),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="List at most N documents.")
    ] = 20,
    layout: DocumentLayoutOption = None,
) -> None:
    """List the largest documents, and forecast their growth.

    MongoDB rejects documents over 16 MiB, so a session that reaches that size can no longer grow. The growth per day is the
    size divided by the time since the first message in the document, and the forecast assumes that it continues. Completed
    and failed sessions do not grow. The server reads the collections of workflow sessions and general chats. Documents that
    chatstore writes stay below 12 MiB, because their oldest messages move into segments; `chatstore sessions split` moves
    those of other writers. Flat messages and threads are not listed, because none of their documents grows with a session.
    """
    invocation = Invocation(context, layout=layout)
    at_least_bytes = 0 if over is None else read_bytes(over, "--over")
    now = utc_now()
    sizes = [document_sizes(invocation.stores, each) for each in document_layouts(invocation.stores, layout)]
    large = largest_documents(sizes, limit + 1, at_least_bytes)
    rows = [size_row(document, growth_of(document, now)) for document in large[:limit]]
    bound = f" of {over} or more" if over is not None else ""
    empty = f"No documents{bound} in {invocation.stores.target}."
    invocation.emit(Listing(SIZE_COLUMNS, rows, empty=empty, is_truncated=len(large) > limit))
