"""`chatstore verify`: a checklist of the whole path, from configuration to database, and through an application."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.options import command, single_command
from chatstore_cli.domain.errors import BadConfig, ChatstoreError, ExitCode, WrongUse
from chatstore_cli.render.listing import Listing
from chatstore_cli.render.rows.checks import CHECK_COLUMNS, check_list_item, check_row

if TYPE_CHECKING:
    from chatstore_cli.core.verify.checklist import Check
    from chatstore_cli.wiring.stores import Stores

app = single_command()


@command(
    app,
    "verify",
    examples=[
        "chatstore verify",
        "chatstore verify -o md",
        "chatstore verify --only connection,indexes",
        "chatstore verify --api-url http://localhost:8000 --log app.log",
    ],
    exits=[ExitCode.FINDINGS],
    meanings={ExitCode.FINDINGS: "findings: a check failed"},
)
def verify(
    context: typer.Context,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME[,NAME]...", help="Only these checks; repeatable.")
    ] = None,
    skip: Annotated[
        list[str] | None, typer.Option("--skip", metavar="NAME[,NAME]...", help="Not these checks; repeatable.")
    ] = None,
    api_url: Annotated[
        str | None, typer.Option("--api-url", metavar="URL", help="Send messages through the application there.")
    ] = None,
    ws_path: Annotated[
        str | None,
        typer.Option("--ws-path", metavar="PATH", help="Its WebSocket [default: verify.application.ws_path]"),
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option("--header", metavar="'NAME: VALUE'", help="Sent to it, never shown; repeatable.")
    ] = None,
    log: Annotated[
        list[str] | None,
        typer.Option("--log", metavar="FILE", help="A log that it or its `chatstore worker` writes; repeatable."),
    ] = None,
    deadline: Annotated[
        float | None, typer.Option("--deadline", metavar="SECONDS", help="Within which a message must be stored.")
    ] = None,
) -> None:
    """Check the whole path: configuration, connection, writing and reading, indexes, retention, journals, documents.

    Each check passes, warns, fails or is skipped, with the time it took and what to do. Checks that look at documents take
    verify.sample of them and stop after verify.seconds_per_check. What is written goes to a scratch collection, which is
    dropped again; --read-only leaves that out. Ends with 6 when any check failed, also where that is the connection or the
    configuration: this is a checklist, and the rest of it is worth having. -o md is a list to paste into a pull request.

    With --api-url, messages of sessions of its own (verifier-...) go through that application, by POST and WebSocket;
    whether journal, log, database, status and history agree is checked, and all that was written is removed, also on Ctrl-C.
    """
    from chatstore_cli.core.verify.checklist import chosen, has_failed, run_checks

    invocation = Invocation(context)
    stores, checks, broken = _checks(invocation)
    application = None
    if api_url is not None:
        from chatstore_cli.wiring.verify_application import application_checks

        application = application_checks(
            stores,
            api_url,
            headers=header or [],
            ws_path=ws_path,
            deadline=deadline,
            logs=log or [],
            read_only=invocation.options.read_only,
        )
        checks = application.chosen([*checks, *application.all()], _names(only), _names(skip))
    else:
        _refuse_without_url({"--ws-path": ws_path, "--header": header, "--log": log, "--deadline": deadline}, only)
        checks = chosen(checks, _names(only), _names(skip))
    names = {check.name for check in checks}
    if broken is not None and "configuration" not in names:
        raise broken
    if names & {"round-trip", "write-concern", "api-cleanup"} and broken is None and not invocation.options.read_only:
        with suppress(ChatstoreError):  # where there is no way to the target, that is for the checklist to say
            invocation.will_write()
    if application is None:
        results = list(run_checks(checks))
    else:
        from chatstore_cli.wiring.verify_application import run_and_remove

        invocation.say(application.announcement)
        results = run_and_remove(checks, application, invocation.say)
    rows = [check_row(result) for result in results]
    invocation.emit(Listing(CHECK_COLUMNS, rows, empty="No check was chosen.", list_item=check_list_item))
    if has_failed(results):
        raise typer.Exit(ExitCode.FINDINGS)


def _refuse_without_url(options: dict[str, object], only: list[str] | None) -> None:
    needing = [option for option, value in options.items() if value not in (None, (), [])]
    needing += [f"--only {name}" for name in _names(only) if name.startswith("api-")]
    if needing:
        raise WrongUse(what=f"{needing[0]} is of no use without --api-url.", hint="Give the application's URL.")


def _names(given: list[str] | None) -> list[str]:
    return [name.strip() for words in given or [] for name in words.split(",") if name.strip()]


def _checks(invocation: Invocation) -> tuple[Stores, list[Check], BadConfig | None]:
    """Every check; with a configuration that is wrong also its error, and no check but the first has anything to go on."""
    from chatstore_cli.config.advice import find_unusual_settings
    from chatstore_cli.config.settings import Settings
    from chatstore_cli.core.verify.database import DatabaseChecks
    from chatstore_cli.core.verify.local import LocalChecks
    from chatstore_cli.domain.times import utc_now
    from chatstore_cli.wiring.stores import Stores

    broken: BadConfig | None = None
    warnings: list[str] = []
    files: list[str] = []
    try:
        configuration = invocation.configuration
    except BadConfig as error:
        broken = error
        stores = Stores(Settings(), say=invocation.say)
    else:
        stores = invocation.stores
        problems = [*configuration.problems, *find_unusual_settings(configuration)]
        warnings = [f"{problem.where}: {problem.what}" for problem in problems]
        files = [str(path) for path in configuration.files]
    settings, read_only = stores.settings, invocation.options.read_only
    seconds = settings.verify.seconds_per_check
    folder = Path(settings.mongo.cache.disk_path)
    local = LocalChecks(broken, warnings, files, folder, lambda: stores.pending_journal, seconds, read_only)
    database = DatabaseChecks(stores, settings.sessions_collection, seconds, read_only, utc_now)
    return stores, [*local.first(), *database.all(), *local.last()], broken
