"""`chatstore cache`: the status of the local cache, and removal of journals that are stored."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from chatstore_cli.cli.command_declarations import command, group
from chatstore_cli.cli.commands.cache import quarantine
from chatstore_cli.cli.dry_runs import begin, dry_run_option
from chatstore_cli.cli.filters import JournalPaths, MapOption
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.domain.errors import BadValue, ExitCode
from chatstore_cli.domain.ignored_files import ignored_notice
from chatstore_cli.render.listing import Listing, Record

app = group("cache", "Show and prune the local cache, and empty the quarantine.")
app.add_typer(quarantine.app)


@command(
    app,
    "status",
    examples=["chatstore cache status", "chatstore cache status data/cache/chat_sessions -o json"],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)
def status(context: typer.Context, paths: JournalPaths = None, mapping: MapOption = None) -> None:
    """Show the status of the local cache.

    It shows the sessions, lines and bytes of the journals, how many lines are not stored yet and since when, and the
    process that stores them: the one that holds the folder's lock, or otherwise a server. Only lines that the ledger has
    not passed are compared with MongoDB. No lock is needed, so a worker may run meanwhile. If MongoDB is unreachable, the
    command shows what the files contain and exits with status 5. With mongo.enabled: false it exits with status 0.
    """
    from chatstore_cli.core.flush.status import cache_status
    from chatstore_cli.domain.future_journals import describe_future
    from chatstore_cli.render.rows.cache import CACHE_STATUS_COLUMNS, cache_status_row
    from chatstore_cli.wiring.journals import named_journals

    invocation = Invocation(context)
    invocation.use_mapping(mapping)
    enabled = invocation.settings.mongo.enabled
    journals = named_journals(invocation.settings, paths)
    if journals.from_stdin:
        raise BadValue(name="PATH", value="-", expected="a folder or a file")
    report = cache_status(journals, (lambda: invocation.stores.message_store) if enabled else None)
    invocation.emit(Record(CACHE_STATUS_COLUMNS, cache_status_row(report.status)))
    if journals.ignored:
        invocation.say(ignored_notice(journals.ignored))
    if report.status.future.count:
        invocation.say(describe_future(report.status.future))
    if not enabled:
        invocation.say("MongoDB is disabled (mongo.enabled: false), so the number of stored lines is unknown.")
    for error in report.errors[1:]:
        invocation.say(error.as_text())
    if report.errors:
        raise report.errors[0]


@command(
    app,
    "prune",
    examples=[
        "chatstore cache prune --older-than 30d --dry-run",
        "chatstore cache prune --older-than 30d --yes",
        "chatstore cache prune data/cache/chat_sessions --older-than 2026-03-02 --yes",
        "chatstore cache prune --deleted --older-than 0s --yes",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)
def prune(
    context: typer.Context,
    older_than: Annotated[
        str,
        typer.Option(
            "--older-than",
            metavar="TIME",
            help="Select journals with no writes and no messages since TIME, for example 30d or 2026-03-02.",
        ),
    ],
    paths: JournalPaths = None,
    deleted: Annotated[
        bool, typer.Option("--deleted", help="Select only journals with lines that were deleted with their session.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    dry_run: Annotated[bool, dry_run_option("removed", "remove")] = False,
    mapping: MapOption = None,
) -> None:
    """Remove journals whose every line is proven to be stored.

    Every line is compared with MongoDB, whatever the ledger contains. A journal is kept if one of its lines is not
    stored, cannot be stored or is incomplete, or if it is written to meanwhile. Lines that have expired in MongoDB
    count as stored if the ledger shows that they were stored. Lines that were deleted with their session, or dropped
    from the quarantine, need not be stored. With -o json, `covered` counts the lines that were deleted with their
    session, `dropped` those that were dropped, and `expired` those that have expired.

    The command needs the lock of the folder, so stop its worker first. It lists what would be removed and asks for
    confirmation (--yes skips the question). The action of a row is keep, prune (would be removed) or pruned (was
    removed).
    """
    from chatstore_cli.core.flush.pruning import (
        PruneRules,
        carry_out,
        describe_plan,
        describe_result,
        describe_total,
        plan_pruning,
    )
    from chatstore_cli.domain.times import utc_now
    from chatstore_cli.render.rows.cache import prune_columns, prune_row
    from chatstore_cli.render.rows.journal_paths import common_folder
    from chatstore_cli.wiring.journals import prunable_journals

    invocation = Invocation(context)
    invocation.use_mapping(mapping)
    local_now = utc_now()
    _cutoff(older_than, local_now)
    journals = prunable_journals(invocation.settings, paths)
    begin(invocation, dry_run=dry_run, nothing="nothing is removed")
    with journals.to_read() if dry_run else journals.to_prune("chatstore cache prune") as candidates:
        # The files have this machine's times: the earlier one of both clocks keeps more of them.
        now = min(local_now, invocation.stores.server_now()) if candidates else local_now
        rules = PruneRules(_cutoff(older_than, now), now, invocation.settings.mongo.ttl_days, deleted_only=deleted)
        decisions = plan_pruning(candidates, invocation.stores.proving_message_store, rules)
        planned = sum(decision.prune for decision in decisions)
        if not dry_run and planned:
            invocation.confirm(describe_plan(decisions), yes=yes)
            decisions = list(carry_out(decisions, candidates, journals.remove))
    folder = common_folder([decision.journal for decision in decisions])
    if decisions and invocation.options.prints_table:
        # For a person, journals with the same reason are beside each other.
        decisions.sort(key=lambda decision: (not decision.prune, decision.reason, decision.journal))
        invocation.say(f"Folder: {folder}")
    invocation.emit(Listing(prune_columns(folder), map(prune_row, decisions), empty="No journals were found."))
    if journals.ignored:
        invocation.say(ignored_notice(journals.ignored))
    if dry_run and decisions:
        invocation.say(describe_total(decisions))
    elif decisions:
        invocation.say(describe_result(decisions, planned) if planned else "No journal was removed.")


def _cutoff(older_than: str, now: datetime) -> datetime:
    """The instant of --older-than. Raises BadValue for a time in the future, before which every journal was written."""
    from chatstore_cli.domain.times import read_when

    cutoff = read_when(older_than, "--older-than", now)
    if cutoff > now:
        raise BadValue(name="--older-than", value=older_than, expected="a time in the past")
    return cutoff
