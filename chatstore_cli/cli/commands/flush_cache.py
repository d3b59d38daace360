"""`chatstore flush-cache`: journals into MongoDB, each message exactly once."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.options import command, single_command
from chatstore_cli.domain.errors import BadValue, ExitCode
from chatstore_cli.render.listing import Record
from chatstore_cli.render.rows.flush import FLUSH_COLUMNS, flush_row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chatstore_cli.core.flush.run import FlushOptions
    from chatstore_cli.domain.journal import FlushResult
    from chatstore_cli.wiring.journals import Journals

app = single_command()


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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be stored, and store nothing.")] = False,
    session: Annotated[str | None, typer.Option("--session", metavar="ID", help="Only this session.")] = None,
    ignore_ledger: Annotated[
        bool, typer.Option("--ignore-ledger", help="Look at every line, also those stored earlier.")
    ] = False,
    ttl_from: Annotated[
        str, typer.Option("--ttl-from", metavar="flush|created", help="Where mongo.ttl_days counts from.")
    ] = "flush",
    skip_expired: Annotated[
        bool, typer.Option("--skip-expired", help="With --ttl-from created: leave out what has expired.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="With --ttl-from created: store also what expires at once.")
    ] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0, help="How long one outage may last.")
    ] = 60.0,
) -> None:
    """Store journals (JSONL) in MongoDB, each message exactly once.

    Flushing again adds nothing, and neither does a crash in the middle: what is stored is recognised, also what the
    application stored under ids of its own. A line that cannot be stored goes into quarantine with the reason (see
    chatstore cache quarantine list), and the run ends with 7. A torn last line is left for the next time.
    """
    if ttl_from not in {"flush", "created"}:
        raise BadValue(name="--ttl-from", value=ttl_from, expected="flush or created")
    from chatstore_cli.core.flush.run import Flush, FlushOptions
    from chatstore_cli.core.flush.storing import StoringRules
    from chatstore_cli.wiring.journals import Journals

    invocation = Invocation(context)
    options = FlushOptions(
        rules=StoringRules(
            ttl_days=invocation.settings.mongo.ttl_days,
            ttl_from_created=ttl_from == "created",
            skip_expired=skip_expired,
            dry_run=dry_run,
        ),
        session=session,
        ignore_ledger=ignore_ledger,
        timeout=timeout,
    )
    journals = Journals(invocation.settings, paths or [invocation.settings.mongo.cache.disk_path])
    if dry_run:
        invocation.say(f"Target: {invocation.stores.target} (dry run: nothing is written)")
        with journals.to_read() as sources:
            result = Flush(invocation.stores.message_store, options, say=invocation.say).run(sources)
    else:
        invocation.will_write()
        if options.rules.ttl_from_created and not (skip_expired or yes):
            _confirm_expired(invocation, journals, options)
        with journals.to_flush("chatstore flush-cache") as sources, invocation.progress(journals.total_bytes) as shown:
            flush = Flush(invocation.stores.message_store, options, say=invocation.say, on_progress=shown)
            result = flush.run(sources)
    invocation.emit(Record(FLUSH_COLUMNS, flush_row(result)))
    for remark in _remarks(result, paths or [], dry_run=dry_run):
        invocation.say(remark)
    if result.quarantined:
        raise typer.Exit(ExitCode.PARTLY_DONE)


def _remarks(result: FlushResult, paths: list[str], *, dry_run: bool) -> Iterator[str]:
    """What the numbers do not say."""
    if not result.files:
        yield "There is no journal there: a folder's journals are its files named *.jsonl, also rotated (.1) or .gz."
    elif not result.lines and not result.pending:
        yield "Nothing new since the last flush."
    if result.pending:
        yield f"Unfinished last lines, left for the next time: {result.pending:,}."
    if dry_run:
        yield "A dry run: this is what would be stored, and nothing was."
    elif result.quarantined or result.already_quarantined:
        listed = shlex.join(["chatstore", "cache", "quarantine", "list", *paths])
        yield f"Quarantined lines are kept with their reasons: {listed}"


def _confirm_expired(invocation: Invocation, journals: Journals, options: FlushOptions) -> None:
    """Ask before storing what MongoDB would delete at once."""
    from chatstore_cli.core.flush.run import Flush

    flags = "--yes (stores them all the same) or with --skip-expired (leaves them out)"
    if journals.from_stdin:
        invocation.confirm("Standard input can be read once only, so nobody can count what has expired.", flag=flags)
        return
    counting = replace(options, rules=replace(options.rules, dry_run=True))
    with journals.to_read() as sources:
        expired = Flush(invocation.stores.message_store, counting).run(sources).expired
    if expired:
        plan = f"{expired:,} messages have expired by their own time: MongoDB would delete them within a minute."
        invocation.confirm(plan, flag=flags)
