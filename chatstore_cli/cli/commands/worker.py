"""`chatstore worker`: follows journals and keeps MongoDB up to date."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Annotated

import typer

from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.options import command, single_command
from chatstore_cli.cli.signals import StopSignals, stop_signals
from chatstore_cli.domain.errors import ExitCode, Interrupted
from chatstore_cli.render.listing import Listing, Record
from chatstore_cli.render.rows.flush import FLUSH_COLUMNS, flush_row

if TYPE_CHECKING:
    from chatstore_cli.domain.journal import FlushResult

app = single_command()
_TIMEOUT_OF_ONCE = 60.0


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
    once: Annotated[bool, typer.Option("--once", help="End when everything that is there is stored.")] = False,
    interval: Annotated[
        float | None,
        typer.Option(
            "--interval",
            metavar="SECONDS",
            min=0.01,
            max=3600,
            help="Pause between looks [default: mongo.worker.interval_seconds]",
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout", metavar="SECONDS", min=0, help="How long one outage may last [default: for ever; --once: 60]"
        ),
    ] = None,
) -> None:
    """Follow journals, and store what is added to them, each message exactly once, until TERM or INT.

    Holds the lock of the folder: a second worker, or flush-cache, ends with 8. A folder that is not there yet is made.
    An outage of the database is waited out. A journal that cannot be read stops no other. TERM and INT store the
    batches in hand and end it with 0, --once that has not stored everything with 130. With -o jsonl or yaml, each
    round that met new lines gives a row; else there is one in the end.
    """
    invocation = Invocation(context)
    with stop_signals() as asked:
        result = _follow(
            invocation, paths or [invocation.settings.mongo.cache.disk_path], asked, once, interval, timeout
        )
        if once or not invocation.is_row_stream:
            invocation.emit(Record(FLUSH_COLUMNS, flush_row(result)))
    if once and result.quarantined:
        raise typer.Exit(ExitCode.PARTLY_DONE)


def _follow(
    invocation: Invocation,
    paths: list[str],
    asked: StopSignals,
    once: bool,
    interval: float | None,
    timeout: float | None,
) -> FlushResult:
    from chatstore_cli.core.flush.follow import Follower, FollowRules
    from chatstore_cli.core.flush.storing import StoringRules
    from chatstore_cli.wiring.journals import Journals, followed

    settings = invocation.settings
    logging.getLogger("chatstore").addHandler(logging.NullHandler())  # stderr has the same lines as talk
    rules = FollowRules(
        storing=StoringRules(ttl_days=settings.mongo.ttl_days),
        interval=settings.mongo.worker.interval_seconds if interval is None else interval,
        timeout=timeout if timeout is not None else _TIMEOUT_OF_ONCE if once else math.inf,
        once=once,
    )
    if once:
        Journals(settings, paths)  # nothing is made, and nothing waited for: what is named has to be there
    invocation.will_write()

    def show(result: FlushResult) -> None:
        if invocation.is_row_stream and not once:
            invocation.emit(Listing(FLUSH_COLUMNS, [flush_row(result)], live=True))

    with followed(settings, paths, "chatstore worker") as journals:
        follower = Follower(invocation.stores.message_store, journals, rules, say=invocation.say, on_round=show)
        if not once:
            invocation.say(f"Following {', '.join(journals.folders)}. {asked.names} ends it.")
        ended_by_itself = follower.run(asked)
    if once and not ended_by_itself:
        stored = f"{follower.total.stored:,} messages stored."
        raise Interrupted(what=f"{stored} Run the same command again to go on: nothing is stored twice.")
    return follower.total
