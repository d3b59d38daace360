"""`chatstore cache`: the status of journals, quarantined lines, and removal of journals that are stored."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.options import command, group
from chatstore_cli.domain.errors import BadValue, ExitCode
from chatstore_cli.render.listing import Listing, Record
from chatstore_cli.render.rows.flush import QUARANTINE_COLUMNS, RETRY_COLUMNS, quarantine_row, retry_row

app = group("cache", "Manage the local cache: its status, quarantined lines, removal of stored journals.")
quarantine_app = group("quarantine", "List and retry the journal lines that could not be stored.")
app.add_typer(quarantine_app)

Paths = Annotated[
    list[str] | None,
    typer.Argument(metavar="PATH", help="Journals or folders of journals [default: mongo.cache.disk_path]"),
]


@command(
    app,
    "status",
    examples=["chatstore cache status", "chatstore cache status data/cache/chat_sessions -o json"],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE],
)
def status(context: typer.Context, paths: Paths = None) -> None:
    """Show the status of journals: sessions, lines, bytes, lines that are not stored yet, and the worker's process.

    Only lines that the ledger has not passed are compared with MongoDB. No lock is needed, so a worker may run
    meanwhile. If MongoDB is unreachable, the command shows what the files contain and exits with status 5; with
    mongo.enabled: false it exits with status 0.
    """
    from chatstore_cli.core.flush.status import cache_status
    from chatstore_cli.render.rows.cache import CACHE_STATUS_COLUMNS, cache_status_row
    from chatstore_cli.wiring.journals import named_journals

    invocation = Invocation(context)
    enabled = invocation.settings.mongo.enabled
    journals = named_journals(invocation.settings, paths or [invocation.settings.mongo.cache.disk_path])
    if journals.from_stdin:
        raise BadValue(name="PATH", value="-", expected="a folder or a file")
    report = cache_status(journals, (lambda: invocation.stores.message_store) if enabled else None)
    invocation.emit(Record(CACHE_STATUS_COLUMNS, cache_status_row(report.status)))
    if not enabled:
        invocation.say("It is not known what is stored: MongoDB is disabled (mongo.enabled: false).")
    for error in report.errors[1:]:
        invocation.say(error.message)
    if report.errors:
        raise report.errors[0]


@command(
    app,
    "prune",
    examples=[
        "chatstore cache prune --older-than 30d --dry-run",
        "chatstore cache prune --older-than 30d --yes",
        "chatstore cache prune data/cache/chat_sessions --older-than 2026-03-02 --yes",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)
def prune(
    context: typer.Context,
    older_than: Annotated[
        str,
        typer.Option(
            "--older-than",
            metavar="30d",
            help="Only journals with no writes and no messages since then (for example 2026-03-02).",
        ),
    ],
    paths: Paths = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be removed, and remove nothing.")] = False,
) -> None:
    """Remove journals whose every line is proven to be stored.

    Every line is compared with MongoDB, whatever the ledger contains. A journal is kept if one of its lines is not
    stored, cannot be stored or is incomplete, or if it is written to meanwhile. Lines that have expired in MongoDB count
    as stored if the ledger shows that they were stored. The command needs the lock of the folder, so stop its worker
    first. It lists what would be removed and asks for confirmation (--yes skips the question). The action of a row is
    keep, prune (would be removed) or pruned (was removed).
    """
    from chatstore_cli.core.flush.pruning import PruneRules, carry_out, describe_plan, describe_result, plan_pruning
    from chatstore_cli.domain.times import read_when, utc_now
    from chatstore_cli.render.rows.cache import PRUNE_COLUMNS, prune_row
    from chatstore_cli.wiring.journals import prunable_journals

    invocation = Invocation(context)
    now = utc_now()
    cutoff = read_when(older_than, "--older-than", now)
    if cutoff > now:  # everything is 0s, so a time in the future is a mistake
        raise BadValue(name="--older-than", value=older_than, expected="a time in the past")
    rules = PruneRules(cutoff, now, invocation.settings.mongo.ttl_days)
    journals = prunable_journals(invocation.settings, paths or [invocation.settings.mongo.cache.disk_path])
    if dry_run:
        invocation.say(f"Target: {invocation.stores.target} (dry run: nothing is removed)")
    else:
        invocation.will_write()
    with journals.to_look_at() if dry_run else journals.to_prune("chatstore cache prune") as candidates:
        decisions = plan_pruning(candidates, invocation.stores.message_store, rules)
        planned = sum(decision.prune for decision in decisions)
        if not dry_run and planned:
            invocation.confirm(describe_plan(decisions), yes=yes)
            decisions = list(carry_out(decisions, candidates, journals))
    invocation.emit(Listing(PRUNE_COLUMNS, map(prune_row, decisions), empty="No journals were found."))
    if not dry_run and decisions:
        invocation.say(describe_result(decisions, planned) if planned else "No journal was removed.")


@command(
    quarantine_app,
    "list",
    examples=["chatstore cache quarantine list", "chatstore cache quarantine list data/cache/chat_sessions -o jsonl"],
    exits=[ExitCode.NOT_FOUND],
)
def list_(context: typer.Context, paths: Paths = None) -> None:
    """List quarantined lines: the place of each line, and why it could not be stored.

    With -o json, jsonl or csv, `raw` contains all bytes of the line in Base64. A line over 100 MiB is in the file that
    `raw_file` names. Give - as PATH for lines that came through standard input.
    """
    from chatstore_cli.wiring.journals import named_journals

    invocation = Invocation(context)
    journals = named_journals(invocation.settings, paths or [invocation.settings.mongo.cache.disk_path])
    rows = (quarantine_row(line) for line in journals.quarantined())
    invocation.emit(Listing(QUARANTINE_COLUMNS, rows, empty="No lines are quarantined."))


@command(
    quarantine_app,
    "retry",
    examples=["chatstore cache quarantine retry"],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.PARTLY_DONE, ExitCode.CONFLICT],
    meanings={ExitCode.PARTLY_DONE: "partly done: lines remain in quarantine"},
)
def retry(context: typer.Context, paths: Paths = None) -> None:
    """Try again to store quarantined lines, after their cause was repaired.

    Lines that are stored leave the quarantine. Exits with status 7 if lines remain in it.
    """
    from chatstore_cli.core.flush.quarantine_retry import retry_quarantined
    from chatstore_cli.core.flush.storing import StoringRules
    from chatstore_cli.core.retry import RetryPolicy
    from chatstore_cli.wiring.journals import named_journals

    invocation = Invocation(context)
    journals = named_journals(invocation.settings, paths or [invocation.settings.mongo.cache.disk_path])
    invocation.will_write()
    rules = StoringRules(ttl_days=invocation.settings.mongo.ttl_days)
    with journals.to_flush("chatstore cache quarantine retry") as sources:
        retry_policy = RetryPolicy(60.0, say=invocation.say)
        result = retry_quarantined(invocation.stores.message_store, sources, rules, retry_policy)
    invocation.emit(Record(RETRY_COLUMNS, retry_row(result)))
    if result.still_quarantined:
        raise typer.Exit(ExitCode.PARTLY_DONE)
