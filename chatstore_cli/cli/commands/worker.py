"""`chatstore worker`: follows journals and stores new lines in MongoDB."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Annotated

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.filters import MapOption
from chatstore_cli.cli.flush_output import emit_flush, say_quarantined
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.signals import StopSignals, stop_signals
from chatstore_cli.core.flush.follow import Follower, FollowRules
from chatstore_cli.core.flush.storing import StoringRules
from chatstore_cli.domain.errors import ExitCode, Interrupted
from chatstore_cli.domain.ignored_files import IgnoredFiles
from chatstore_cli.domain.journal import FlushResult
from chatstore_cli.domain.quantities import quantity
from chatstore_cli.render.listing import Listing
from chatstore_cli.render.rows.flush import FLUSH_COLUMNS, flush_row
from chatstore_cli.wiring.journals import bookkeeping_notices, followed_folders, named_journals

app = single_command()
_ONCE_TIMEOUT_SECONDS = 60.0


@command(
    app,
    "worker",
    examples=[
        "chatstore worker",
        "chatstore worker data/cache/chat_sessions --interval 0.5 -o jsonl",
        "chatstore worker --once --timeout 300",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.PARTLY_DONE, ExitCode.CONFLICT],
)
def worker(
    context: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH", help="Folders of journals, or journals [default: mongo.cache.disk_path]"),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Exit once every line in the journals is stored.")] = False,
    interval: Annotated[
        float | None,
        typer.Option(
            "--interval",
            metavar="SECONDS",
            min=0.01,
            max=3600,
            help="Pause between scans of the journals [default: mongo.worker.interval_seconds].",
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            min=0,
            help="Stop if MongoDB is unreachable for SECONDS [default: no limit; with --once 60].",
        ),
    ] = None,
    mapping: MapOption = None,
) -> None:
    """Follow journals and store new lines, each message exactly once, until TERM or INT.

    The worker holds the lock of the folder: a second worker, or flush-cache, exits with status 8. A folder that does not
    exist is created. If MongoDB is unreachable, the worker waits and retries. A journal that cannot be read does not
    stop the others. On TERM or INT the worker stores its current batches and exits with status 0; with --once it exits
    with status 130 if lines remain. With -o jsonl or yaml it prints a row for each round that read new lines, otherwise
    one row at the end.
    """
    invocation = Invocation(context)
    invocation.use_mapping(mapping)
    with stop_signals() as stop_requests:
        result, ignored, unread = _follow(invocation, paths, stop_requests, once, interval, timeout)
        if once or not invocation.options.prints_row_stream:
            emit_flush(invocation, result, ignored, unread=unread)
        if once and not unread and not result.quarantined:  # these are reported when they are read
            count_all = named_journals(invocation.settings, paths).count_quarantined
            say_quarantined(invocation, result, paths or [], count_all, dry_run=False)
        invocation.say_where_stored(result.stored)
    if once and result.quarantined:
        raise typer.Exit(ExitCode.PARTLY_DONE)


def _follow(
    invocation: Invocation,
    paths: list[str] | None,
    stop_requests: StopSignals,
    once: bool,
    interval: float | None,
    timeout: float | None,
) -> tuple[FlushResult, Sequence[IgnoredFiles], str]:
    settings = invocation.settings
    logging.getLogger("chatstore").addHandler(logging.NullHandler())  # stderr has the same lines as notices
    rules = FollowRules(
        storing=StoringRules(ttl_days=settings.mongo.ttl_days),
        interval=settings.mongo.worker.interval_seconds if interval is None else interval,
        timeout=invocation.outage_limit(timeout, _ONCE_TIMEOUT_SECONDS if once else math.inf),
        once=once,
    )
    if once:
        named_journals(settings, paths)  # with --once no folder is made: every path has to exist
    invocation.will_write()
    store = invocation.stores.message_store  # raises if MongoDB is disabled, before a folder is created

    with followed_folders(settings, paths, "chatstore worker") as journals:

        def show(result: FlushResult) -> None:
            if invocation.options.prints_row_stream and not once:
                invocation.emit(Listing(FLUSH_COLUMNS, [flush_row(result, journals.ignored)], live=True))

        follower = Follower(store, journals, rules, say=invocation.say, on_round=show)
        for notice in bookkeeping_notices(journals.folders):
            invocation.say(notice)
        if not once:
            invocation.say(f"Following {', '.join(journals.folders)}. {stop_requests.names} stops it.")
        ended_by_itself = follower.run(stop_requests)
    if once and not ended_by_itself:
        stored = f"{quantity(follower.total.stored, 'message')} stored."
        raise Interrupted(what=f"{stored} Run the same command again to continue: nothing is stored twice.")
    return follower.total, journals.ignored, follower.why_nothing_was_read
