"""`chatstore flush-cache`: stores journals in MongoDB, each message exactly once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.dry_runs import begin
from chatstore_cli.cli.filters import MapOption
from chatstore_cli.cli.flush_output import emit_flush, say_quarantined
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.core.choices import require_one_of
from chatstore_cli.core.flush.options import FlushOptions
from chatstore_cli.core.flush.pending import ReadableJournals, count_expired
from chatstore_cli.core.flush.run import Flush
from chatstore_cli.core.flush.storing import StoringRules
from chatstore_cli.domain.errors import ExitCode, NotFound, WrongUse
from chatstore_cli.domain.ignored_files import ignored_notice
from chatstore_cli.domain.journal import FlushResult
from chatstore_cli.wiring.journals import bookkeeping_notices, named_journals

app = single_command()
_OUTAGE_SECONDS = 60.0


@command(
    app,
    "flush-cache",
    examples=[
        "chatstore flush-cache",
        "chatstore flush-cache data/cache/chat_sessions --dry-run",
        "zcat old.jsonl.gz | chatstore flush-cache -",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.PARTLY_DONE, ExitCode.CONFLICT],
)
def flush_cache(
    context: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH", help="Journals, folders of journals, or - [default: mongo.cache.disk_path]"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report what would be stored, and store nothing.")] = False,
    session: Annotated[
        str | None, typer.Option("--session", metavar="SESSION_ID", help="Store messages of this session only.")
    ] = None,
    ignore_ledger: Annotated[
        bool, typer.Option("--ignore-ledger", help="Check every line, also lines that were stored earlier.")
    ] = False,
    ttl_from: Annotated[
        str,
        typer.Option(
            "--ttl-from",
            metavar="flush|created",
            help="Count mongo.ttl_days from now (flush) or from the time of each message (created).",
        ),
    ] = "flush",
    skip_expired: Annotated[
        bool, typer.Option("--skip-expired", help="With --ttl-from created: leave out messages that have expired.")
    ] = False,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes", "-y", help="With --ttl-from created: store messages that expire at once, without asking."
        ),
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout", metavar="SECONDS", min=0, help="Stop if MongoDB is unreachable for SECONDS [default: 60]."
        ),
    ] = None,
    mapping: MapOption = None,
) -> None:
    """Store journals (JSONL) in MongoDB, each message exactly once.

    Flushing a journal again stores nothing twice, even after a crash: messages that are already stored are recognised,
    also if the application stored them under its own ids. A line that cannot be stored is quarantined with the reason
    (see chatstore cache quarantine list), and the command exits with status 7. An incomplete last line is left in the
    journal for the next flush. A journal that cannot be read does not stop the others: their result is printed, and the
    command exits with status 1.
    """
    require_one_of("--ttl-from", ttl_from, ("flush", "created"))
    if skip_expired and ttl_from != "created":
        raise WrongUse(what="--skip-expired requires --ttl-from created.")
    invocation = Invocation(context)
    invocation.use_mapping(mapping)
    options = FlushOptions(
        rules=StoringRules(
            ttl_days=invocation.settings.mongo.ttl_days,
            ttl_from_created=ttl_from == "created",
            skip_expired=skip_expired,
            dry_run=dry_run,
        ),
        session=session,
        ignore_ledger=ignore_ledger,
        timeout=invocation.outage_limit(timeout, _OUTAGE_SECONDS),
    )
    journals = named_journals(invocation.settings, paths)
    for notice in bookkeeping_notices(journals.folders):
        invocation.say(notice)
    begin(invocation, dry_run=dry_run, nothing="nothing is written")
    if journals.ignored:  # before the flush: a journal that cannot be read must not hide them
        invocation.say(ignored_notice(journals.ignored))
    if dry_run:
        with journals.to_read() as sources:
            flush = Flush(invocation.stores.message_store, options, say=invocation.say)
            result = flush.attempt(sources)
    else:
        if options.rules.ttl_from_created and not (skip_expired or yes):
            _confirm_expired(invocation, journals, options)
        with journals.to_flush("chatstore flush-cache") as sources, invocation.progress(journals.total_bytes) as shown:
            flush = Flush(invocation.stores.message_store, options, say=invocation.say, on_progress=shown)
            result = flush.attempt(sources)
    if session is not None and not result.lines and not flush.unreadable:
        hint = "Incomplete last lines, and lines whose session cannot be read, are left for later flushes."
        raise NotFound(kind_of_thing="session", name=session, where=" in the journals", hint=hint)
    emit_flush(invocation, result, journals.ignored, dry_run=dry_run, unreadable=len(flush.unreadable))
    for notice in _notices(result, dry_run=dry_run):
        invocation.say(notice)
    say_quarantined(invocation, result, paths or [], journals.count_quarantined, dry_run=dry_run)
    if not dry_run:
        invocation.say_where_stored(result.stored)
    flush.require_all_read(result)  # after the result, because the other journals were flushed
    if result.quarantined:
        raise typer.Exit(ExitCode.PARTLY_DONE)


def _notices(result: FlushResult, *, dry_run: bool) -> Iterator[str]:
    """What the numbers do not show."""
    for change, lines in result.altered.items():
        yield f"Lines with {change}: {lines:,}."
    if dry_run and result.expired:
        yield f"Messages that have already expired, counted from created_at: {result.expired:,}."
    if dry_run:
        yield "This was a dry run: nothing was stored."


def _confirm_expired(invocation: Invocation, journals: ReadableJournals, options: FlushOptions) -> None:
    """Ask before storing messages that MongoDB would delete at once."""
    flags = "--yes (stores them anyway) or with --skip-expired (leaves them out)"
    if journals.from_stdin:
        question = "Standard input can be read only once, so expired messages cannot be counted first."
        invocation.confirm(question, flag=flags)
    elif expired := count_expired(journals, invocation.stores.message_store, options):
        have = "1 message has" if expired == 1 else f"{expired:,} messages have"
        question = f"{have} expired, counted from created_at. MongoDB deletes expired messages within a minute."
        invocation.confirm(question, flag=flags)
