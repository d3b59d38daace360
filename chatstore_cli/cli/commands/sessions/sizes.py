"""`chatstore sessions sizes`: the largest documents, and when each is full."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.options import command, single_command
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.render.listing import Listing
from chatstore_cli.render.rows.document_sizes import SIZE_COLUMNS, size_row

app = single_command()


@command(
    app,
    "sizes",
    examples=["chatstore sessions sizes", "chatstore sessions sizes --over 8MiB --limit 1000 -o csv"],
    exits=[ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE],
)
def sizes(
    context: typer.Context,
    over: Annotated[str | None, typer.Option("--over", metavar="SIZE", help="Only from this size on.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="Documents.")] = 20,
) -> None:
    """List the largest workflow documents and forecast their growth.

    MongoDB takes no document above 16 MiB: what is said after that is not stored. The growth is the size over the time
    since the first message in the document; full is when it has 16 MiB if it goes on growing so. Completed and failed
    chats do not grow. Finding the documents makes the server read the collection. Those that chatstore writes stay below
    12 MiB: the oldest messages move into segments. `chatstore sessions split` does that for others.
    """
    from chatstore_cli.core.workflow.splitting import growth_of
    from chatstore_cli.domain.byte_sizes import read_bytes
    from chatstore_cli.domain.times import utc_now
    from chatstore_cli.wiring.segments import document_sizes

    invocation = Invocation(context)
    least = 0 if over is None else read_bytes(over, "--over")
    now = utc_now()
    large = document_sizes(invocation.stores).largest(limit, least)
    rows = [size_row(document, growth_of(document, now)) for document in large]
    where = f" of {over} or more" if over is not None else ""
    invocation.emit(Listing(SIZE_COLUMNS, rows, empty=f"No documents{where} in {invocation.stores.target}."))
