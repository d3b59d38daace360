"""`chatstore cache quarantine list|retry`: the journal lines that could not be stored."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.options import command, group
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.render.flush_rows import QUARANTINE_COLUMNS, RETRY_COLUMNS, quarantine_row, retry_row
from chatstore_cli.render.listing import Listing, Record

app = group("cache", "Look after the local cache: quarantined lines.")
quarantine_app = group("quarantine", "Journal lines that could not be stored, each with its reason.")
app.add_typer(quarantine_app)

Paths = Annotated[
    list[str] | None,
    typer.Argument(metavar="PATH", help="Journals or folders of journals [default: mongo.cache.disk_path]"),
]


@command(
    quarantine_app,
    "list",
    examples=["chatstore cache quarantine list", "chatstore cache quarantine list data/cache/chat_sessions -o jsonl"],
    exits=[ExitCode.NOT_FOUND],
)
def list_(context: typer.Context, paths: Paths = None) -> None:
    """List quarantined lines: where each stood, and why it could not be stored.

    With -o json, jsonl or csv, `raw` is the line itself in Base64, every byte of it; a line over 100 MiB lies in the
    file that `raw_file` names. Name - for what came through standard input.
    """
    from chatstore_cli.wiring.journals import Journals

    invocation = Invocation(context)
    journals = Journals(invocation.settings, paths or [invocation.settings.mongo.cache.disk_path])
    rows = (quarantine_row(line) for line in journals.quarantined())
    invocation.emit(Listing(QUARANTINE_COLUMNS, rows, empty="Nothing is in quarantine."))


@command(
    quarantine_app,
    "retry",
    examples=["chatstore cache quarantine retry"],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.PARTLY_DONE, ExitCode.CONFLICT],
)
def retry(context: typer.Context, paths: Paths = None) -> None:
    """Try to store quarantined lines again, after what kept them out has been mended.

    What is stored leaves the quarantine; the rest stays. Ends with 7 when lines remain.
    """
    from chatstore_cli.core.flush_storing import Patience, StoringRules
    from chatstore_cli.core.quarantine import retry as retry_lines
    from chatstore_cli.wiring.journals import Journals

    invocation = Invocation(context)
    journals = Journals(invocation.settings, paths or [invocation.settings.mongo.cache.disk_path])
    invocation.will_write()
    rules = StoringRules(ttl_days=invocation.settings.mongo.ttl_days)
    with journals.to_flush("chatstore cache quarantine retry") as sources:
        result = retry_lines(invocation.stores.message_store, sources, rules, Patience(60.0, say=invocation.say))
    invocation.emit(Record(RETRY_COLUMNS, retry_row(result)))
    if result.still_quarantined:
        raise typer.Exit(ExitCode.PARTLY_DONE)
