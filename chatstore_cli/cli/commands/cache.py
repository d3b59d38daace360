"""`chatstore cache`: how the journals stand, the lines that could not be stored, and what may go."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.options import command, group
from chatstore_cli.domain.errors import BadValue, ExitCode
from chatstore_cli.render.listing import Listing, Record
from chatstore_cli.render.rows.flush import QUARANTINE_COLUMNS, RETRY_COLUMNS, quarantine_row, retry_row

app = group("cache", "Look after the local cache: how it stands, quarantined lines, what may go.")
quarantine_app = group("quarantine", "Journal lines that could not be stored, each with its reason.")
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
    """Show the journals, and how much of each is not yet stored.

    For all of them: sessions, lines, bytes, what is not stored and since when, and the process that follows them.

    Compares only what the ledger does not know to be stored, and needs no lock: a worker may run meanwhile. Where the
    database is away it shows what the files tell, says so, and ends with 5; with mongo.enabled: false it ends with 0.
    """
    from chatstore_cli.render.rows.cache import CACHE_STATUS_COLUMNS, cache_status_row
    from chatstore_cli.wiring.journals import Journals

    invocation = Invocation(context)
    enabled = invocation.settings.mongo.enabled
    journals = Journals(invocation.settings, paths or [invocation.settings.mongo.cache.disk_path])
    if journals.from_stdin:
        raise BadValue(name="PATH", value="-", expected="a folder or a file")
    found = journals.status((lambda: invocation.stores.message_store) if enabled else None)
    invocation.emit(Record(CACHE_STATUS_COLUMNS, cache_status_row(found.status)))
    if not enabled:
        invocation.say("What is stored is not known: the database is switched off (mongo.enabled: false).")
    for trouble in found.troubles[1:]:
        invocation.say(trouble.message)
    if found.troubles:
        raise found.troubles[0]


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
        str, typer.Option("--older-than", metavar="30d", help="Only what nothing was written to since, nor is newer.")
    ],
    paths: Paths = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
) -> None:
    """Remove journals whose every line is proven to be stored.

    Every line is compared with the database, whatever the ledger says. A journal with a line that is not stored, cannot
    be stored or is not finished stays, and so does one that is written to meanwhile. Lines that the database has deleted
    since, because their time was over, count as stored where the ledger knows that they were. Needs the folder's lock:
    stop its worker first. Says what goes, and removes nothing without --yes. A row's action is keep, prune (it would be
    removed) or pruned (it was).
    """
    from chatstore_cli.core.flush.pruning import PruneRules, carry_out, done_in_words, in_words, plan_pruning
    from chatstore_cli.domain.times import read_when, utc_now
    from chatstore_cli.render.rows.cache import FATE_COLUMNS, fate_row
    from chatstore_cli.wiring.journals import prunable

    invocation = Invocation(context)
    now = utc_now()
    cutoff = read_when(older_than, "--older-than", now)
    if cutoff > now:  # 0s is everything: nobody need make up a time to come for that
        raise BadValue(name="--older-than", value=older_than, expected="a time that has passed")
    rules = PruneRules(cutoff, now, invocation.settings.mongo.ttl_days)
    journals = prunable(invocation.settings, paths or [invocation.settings.mongo.cache.disk_path])
    if dry_run:
        invocation.say(f"Target: {invocation.stores.target} (dry run: nothing is removed)")
    else:
        invocation.will_write()
    with journals.to_look_at() if dry_run else journals.to_prune("chatstore cache prune") as found:
        fates = plan_pruning(found, invocation.stores.message_store, rules)
        planned = sum(fate.prune for fate in fates)
        if not dry_run and planned:
            invocation.confirm(in_words(fates), yes=yes)
            fates = list(carry_out(fates, found, journals))
    invocation.emit(Listing(FATE_COLUMNS, map(fate_row, fates), empty="There is no journal there."))
    if not dry_run and fates:
        invocation.say(done_in_words(fates, planned) if planned else "Nothing was removed: every journal stays.")


@command(
    quarantine_app,
    "list",
    examples=["chatstore cache quarantine list", "chatstore cache quarantine list data/cache/chat_sessions -o jsonl"],
    exits=[ExitCode.NOT_FOUND],
)
def list_(context: typer.Context, paths: Paths = None) -> None:
    """List quarantined lines with their origin and reason.

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
    meanings={ExitCode.PARTLY_DONE: "partly done: lines remain in quarantine"},
)
def retry(context: typer.Context, paths: Paths = None) -> None:
    """Try to store quarantined lines again.

    What is stored leaves the quarantine; the rest stays. Ends with 7 when lines remain.
    """
    from chatstore_cli.core.flush.quarantine import retry as retry_lines
    from chatstore_cli.core.flush.storing import StoringRules
    from chatstore_cli.core.retry import RetryPolicy
    from chatstore_cli.wiring.journals import Journals

    invocation = Invocation(context)
    journals = Journals(invocation.settings, paths or [invocation.settings.mongo.cache.disk_path])
    invocation.will_write()
    rules = StoringRules(ttl_days=invocation.settings.mongo.ttl_days)
    with journals.to_flush("chatstore cache quarantine retry") as sources:
        result = retry_lines(invocation.stores.message_store, sources, rules, RetryPolicy(60.0, say=invocation.say))
    invocation.emit(Record(RETRY_COLUMNS, retry_row(result)))
    if result.still_quarantined:
        raise typer.Exit(ExitCode.PARTLY_DONE)
