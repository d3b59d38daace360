"""`chatstore db start|stop|status`: the embedded MongoDB."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.options import command, group
from chatstore_cli.domain.errors import ExitCode

app = group("db", "Start, stop and inspect the embedded MongoDB.")
_EXITS = [ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT]


@command(app, "start", examples=["chatstore db start"], exits=_EXITS)
def start(context: typer.Context) -> None:
    """Start the embedded MongoDB, unless it runs already.

    There is no need to: with mongo.uri: embedded (the default) every command starts it when it is first needed. It goes
    on running when the command has ended, on a unix socket that only you can open.
    """
    from chatstore_cli.render.rows.embedded import status_record

    invocation = _invocation(context)
    if not invocation.stores.embedded.start():
        invocation.say("The embedded MongoDB is running already.")
    invocation.emit(status_record(invocation.stores.embedded.status()))


@command(app, "stop", examples=["chatstore db stop", "chatstore db stop --timeout 10 --force"], exits=_EXITS)
def stop(
    context: typer.Context,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0, help="How long to wait for its end.")
    ] = 60.0,
    force: Annotated[
        bool, typer.Option("--force", help="Kill it when it has not ended by then; the next start recovers the data.")
    ] = False,
) -> None:
    """Shut the embedded MongoDB down cleanly and wait until it has ended. The data stay."""
    from chatstore_cli.render.rows.embedded import status_record

    invocation = _invocation(context)
    if invocation.stores.embedded.stop(seconds=timeout, kill=force):
        invocation.say("The embedded MongoDB has stopped.")
    else:
        invocation.say("The embedded MongoDB is not running.")
    invocation.emit(status_record(invocation.stores.embedded.status()))


@command(app, "status", examples=["chatstore db status", "chatstore db status -o json"], exits=_EXITS)
def status(context: typer.Context) -> None:
    """Show whether the embedded MongoDB runs: version, socket, data folder, size, uptime. Starts nothing."""
    from chatstore_cli.render.rows.embedded import status_record

    invocation = _invocation(context)
    invocation.emit(status_record(invocation.stores.embedded.status()))


def _invocation(context: typer.Context) -> Invocation:
    """The run; says so where the configuration names another server than the one that is managed here."""
    invocation = Invocation(context)
    if invocation.settings.mongo.uri != "embedded":
        from chatstore_cli.domain.secrets import masked

        other = masked(invocation.settings.mongo.uri)
        invocation.say(f"mongo.uri is {other}: other commands use that server, not the embedded MongoDB shown here.")
    return invocation
