"""`chatstore db start|stop|status|remove`: the embedded MongoDB."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.command_declarations import command, group
from chatstore_cli.cli.dry_runs import NOTHING_IS_DELETED, DryRunOption, confirmed
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.domain.byte_sizes import format_bytes
from chatstore_cli.domain.errors import ChatstoreError, ExitCode
from chatstore_cli.render.rows.embedded import status_record
from chatstore_cli.wiring.embedded import embedded_documents

app = group("db", "Start, stop, inspect and remove the embedded MongoDB.")
_EXITS = [ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT]


@command(app, "start", examples=["chatstore db start"], exits=_EXITS)
def start(context: typer.Context) -> None:
    """Start the embedded MongoDB if it is not running.

    With mongo.uri: embedded (the default) every command starts it when it is needed. It keeps running after the command
    has ended, and listens only on a unix socket that no other user can open.
    """
    invocation = _invocation(context)
    if not invocation.stores.embedded.start():
        invocation.say("The embedded MongoDB is already running.")
    invocation.emit(status_record(invocation.stores.embedded.status()))


@command(app, "stop", examples=["chatstore db stop", "chatstore db stop --timeout 10 --force"], exits=_EXITS)
def stop(
    context: typer.Context,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0, help="Wait at most SECONDS for the shutdown.")
    ] = 60.0,
    force: Annotated[
        bool,
        typer.Option("--force", help="Kill the server if it is still running then. The next start recovers the data."),
    ] = False,
) -> None:
    """Shut down the embedded MongoDB and wait until it has ended.

    The data are kept.
    """
    invocation = _invocation(context)
    if invocation.stores.embedded.stop(seconds=timeout, kill=force):
        invocation.say("The embedded MongoDB has stopped.")
    else:
        invocation.say("The embedded MongoDB is not running.")
    invocation.emit(status_record(invocation.stores.embedded.status()))


@command(app, "status", examples=["chatstore db status", "chatstore db status -o json"], exits=_EXITS)
def status(context: typer.Context) -> None:
    """Show the state of the embedded MongoDB without starting it.

    The state has version, socket, URI, data folder, size and uptime. Other clients, such as pymongo and mongosh, connect
    with the URI.
    """
    invocation = _invocation(context)
    invocation.emit(status_record(invocation.stores.embedded.status()))


@command(
    app,
    "remove",
    examples=["chatstore db remove", "chatstore db remove --dry-run", "chatstore db remove --yes"],
    exits=_EXITS,
)
def remove(
    context: typer.Context,
    dry_run: DryRunOption = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
) -> None:
    """Delete all data of the embedded MongoDB.

    The plan lists the databases and collections with their numbers of documents; for this the server is started. Then
    the server is stopped, and its data folder is deleted. Journals, configuration and other servers are not changed.
    """
    invocation = _invocation(context)
    if not dry_run:
        invocation.reject_read_only()
    embedded = invocation.stores.embedded
    status = embedded.status()
    note = f" (dry run: {NOTHING_IS_DELETED})" if dry_run else ""
    invocation.say(f"Target: embedded MongoDB, data in {status.data_folder}{note}")
    content = f"all data of the embedded MongoDB ({format_bytes(status.size_bytes)} in {status.data_folder})"
    if status.size_bytes and (dry_run or not yes):
        embedded.check_removable()
        is_confirmed = False
        try:
            plan = "\n  ".join([f"This would delete {content}.", *_contents(invocation)])
            is_confirmed = confirmed(invocation, plan, yes=False, dry_run=dry_run)
        finally:
            if not is_confirmed and not status.running:
                embedded.stop()
    if dry_run:
        invocation.emit(status_record(embedded.status()))
        return
    removed = embedded.remove()
    invocation.say(f"Deleted {content}." if removed else "The embedded MongoDB has no data to delete.")
    invocation.emit(status_record(embedded.status()))


def _contents(invocation: Invocation) -> list[str]:
    """The documents of each collection, or why they cannot be counted."""
    try:
        contents = embedded_documents(invocation.stores)
    except ChatstoreError as error:
        return [f"Its documents could not be counted: {error.message}"]
    lines = [f"{name}: {number:,} document{'' if number == 1 else 's'}" for name, number in contents.items()]
    return lines or ["It has no documents."]


def _invocation(context: typer.Context) -> Invocation:
    """The run, with a notice if the configuration names another server."""
    invocation = Invocation(context)
    if invocation.settings.mongo.uri != "embedded":
        from chatstore_cli.domain.secrets import masked_uri

        uri = masked_uri(invocation.settings.mongo.uri)
        invocation.say(f"mongo.uri is {uri}: other commands use that server, not the embedded MongoDB.")
    return invocation
