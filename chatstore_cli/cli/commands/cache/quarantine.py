"""`chatstore cache quarantine`: the journal lines that could not be stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import typer

from chatstore_cli.cli.command_declarations import command, group
from chatstore_cli.cli.filters import JournalPaths, MapOption
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.domain.errors import ChatstoreError, ExitCode
from chatstore_cli.render.listing import Listing, Record
from chatstore_cli.render.rows.flush import RETRY_COLUMNS, quarantine_columns, quarantine_row, retry_row
from chatstore_cli.render.rows.journal_paths import common_folder

_ENTRIES = "cache.quarantine_entries"

app = group(
    "quarantine",
    "List, correct, retry and drop lines that could not be stored.",
    {"show": _ENTRIES, "edit": _ENTRIES, "drop": "cache.quarantine_drop"},
)


@command(
    app,
    "list",
    examples=["chatstore cache quarantine list", "chatstore cache quarantine list data/cache/chat_sessions -o jsonl"],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED],
)
def list_(context: typer.Context, paths: JournalPaths = None) -> None:
    """List quarantined lines with their place and reason.

    Other commands take the number of a line, or its ID: the numbers change when a line leaves the quarantine. With
    -o json, jsonl or csv, `text` is the whole line (null if its bytes are not text), and `raw` contains its bytes in
    Base64. A line over 96 MiB is in the file that `raw_file` names. Give - as PATH for lines that came through standard
    input.
    """
    from chatstore_cli.wiring.journals import named_journals

    invocation = Invocation(context)
    journals = named_journals(invocation.settings, paths)
    errors: list[ChatstoreError] = []

    def rows() -> Iterator[dict[str, Any]]:
        try:
            yield from map(quarantine_row, journals.numbered_lines())
        except ChatstoreError as error:
            errors.append(error)

    shown: Iterable[dict[str, Any]] = rows()
    folder = ""
    if invocation.options.prints_table:
        shown = list(shown)
        folder = common_folder([row["source"] for row in shown])
        if folder:
            invocation.say(f"Folder: {folder}")
    invocation.emit(Listing(quarantine_columns(folder), shown, empty="No lines are quarantined."))
    for error in errors:  # of a quarantine that cannot be read; the lines of the others are listed
        raise error


@command(
    app,
    "retry",
    examples=["chatstore cache quarantine retry"],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.PARTLY_DONE, ExitCode.CONFLICT],
    meanings={ExitCode.PARTLY_DONE: "partly done: lines remain in quarantine"},
)
def retry(context: typer.Context, paths: JournalPaths = None, mapping: MapOption = None) -> None:
    """Try to store quarantined lines again.

    Lines that are stored leave the quarantine. An edit that was interrupted is finished. Exits with status 7 if lines
    remain in the quarantine.
    """
    from chatstore_cli.core.flush.quarantine_retry import retry_quarantined
    from chatstore_cli.core.flush.storing import StoringRules
    from chatstore_cli.core.retry import RetryPolicy
    from chatstore_cli.wiring.journals import named_journals

    invocation = Invocation(context)
    invocation.use_mapping(mapping)
    journals = named_journals(invocation.settings, paths)
    seconds = invocation.outage_limit(None, 60.0)
    invocation.will_write()
    rules = StoringRules(ttl_days=invocation.settings.mongo.ttl_days)
    with journals.to_flush("chatstore cache quarantine retry") as sources:
        store = invocation.stores.message_store
        retry_policy = RetryPolicy(seconds, say=invocation.say, reach=store.reach)
        result = retry_quarantined(store, sources, rules, retry_policy)
    invocation.emit(Record(RETRY_COLUMNS, retry_row(result)))
    invocation.say_where_stored(result.stored)
    if result.still_quarantined:
        raise typer.Exit(ExitCode.PARTLY_DONE)
