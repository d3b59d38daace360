"""`chatstore verify`: a checklist from the configuration to the database, and of a running application."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import typer

from chatstore_cli.cli.filters import JournalPaths, MapOption
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.options import command, single_command
from chatstore_cli.config.advice import find_unusual_settings
from chatstore_cli.config.settings import Settings
from chatstore_cli.core.verify.checklist import Check, has_failed, run_checks, selected
from chatstore_cli.domain.errors import BadConfig, ChatstoreError, ExitCode, WrongUse
from chatstore_cli.domain.secrets import masked
from chatstore_cli.render.listing import Listing
from chatstore_cli.render.rows.checks import CHECK_COLUMNS, check_list_item, check_row
from chatstore_cli.wiring.stores import Stores
from chatstore_cli.wiring.verify import store_checks

app = single_command()


@command(
    app,
    "verify",
    examples=[
        "chatstore verify",
        "chatstore verify data/cache/chat_sessions -o md",
        "chatstore verify --only connection,indexes",
        "chatstore verify --api-url http://localhost:8000 --log app.log",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.FINDINGS],
    meanings={ExitCode.FINDINGS: "findings: a check failed"},
)
def verify(
    context: typer.Context,
    paths: JournalPaths = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME[,NAME]...", help="Run only these checks; repeatable.")
    ] = None,
    skip: Annotated[
        list[str] | None, typer.Option("--skip", metavar="NAME[,NAME]...", help="Skip these checks; repeatable.")
    ] = None,
    api_url: Annotated[
        str | None,
        typer.Option(
            "--api-url", metavar="URL", help="Also check the application at this URL: send messages through it."
        ),
    ] = None,
    ws_path: Annotated[
        str | None,
        typer.Option(
            "--ws-path", metavar="PATH", help="Use this WebSocket path [default: verify.application.ws_path]."
        ),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(
            "--header",
            metavar="'NAME: VALUE'",
            help="Send this header to the application. Values are never shown; repeatable.",
        ),
    ] = None,
    log: Annotated[
        list[str] | None,
        typer.Option(
            "--log",
            metavar="FILE",
            help="Read this log file of the application or of its `chatstore worker`; repeatable.",
        ),
    ] = None,
    deadline: Annotated[
        float | None,
        typer.Option(
            "--deadline",
            metavar="SECONDS",
            help="Wait SECONDS for a response and for storing a message [default: verify.application.deadline_seconds].",
        ),
    ] = None,
    mapping: MapOption = None,
) -> None:
    """Check configuration, connection, reading and writing, indexes, retention, journals and documents.

    Each check passes, warns, fails or is skipped, and shows its duration and what to do. Checks of documents read a sample
    (verify.sample) and stop after verify.seconds_per_check. Test writes use a scratch collection, which is dropped;
    --read-only skips them. Exits with status 6 if any check fails; the remaining checks still run. -o md prints a list for
    a pull request.

    With --api-url it also sends messages in sessions of its own (verifier-...) through that application, by POST and
    WebSocket. It checks that each message reached the journal and the database, and that log, status and history agree.
    Afterwards it removes what was written, also after Ctrl-C.
    """
    invocation = Invocation(context)
    invocation.use_mapping(mapping)
    stores, checks, broken = _checks(invocation, paths or [])
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
        checks = application.select([*checks, *application.all()], _names(only), _names(skip))
    else:
        _require_url({"--ws-path": ws_path, "--header": header, "--log": log, "--deadline": deadline}, only)
        checks = selected(checks, _names(only), _names(skip))
    names = {check.name for check in checks}
    if broken is not None and "configuration" not in names:
        raise broken
    if names & {"round-trip", "write-concern", "api-cleanup"} and broken is None and not invocation.options.read_only:
        with suppress(ChatstoreError):  # if there is no target, the checklist reports it
            invocation.will_write()
    if application is None:
        results = list(run_checks(checks))
    else:
        from chatstore_cli.wiring.verify_application import run_and_remove

        invocation.say(application.announcement)
        results = run_and_remove(checks, application, invocation.say)
    rows = [check_row(result) for result in results]
    invocation.emit(Listing(CHECK_COLUMNS, rows, empty="No checks selected.", list_item=check_list_item))
    if has_failed(results):
        raise typer.Exit(ExitCode.FINDINGS)


def _require_url(options: dict[str, object], only: list[str] | None) -> None:
    needing = [option for option, value in options.items() if value not in (None, (), [])]
    needing += [f"--only {name}" for name in _names(only) if name.startswith("api-")]
    if needing:
        raise WrongUse(what=f"{needing[0]} requires --api-url.", hint="Add --api-url with the application's URL.")


def _names(values: list[str] | None) -> list[str]:
    return [name.strip() for words in values or [] for name in words.split(",") if name.strip()]


def _checks(invocation: Invocation, journals: list[str]) -> tuple[Stores, list[Check], BadConfig | None]:
    """Every check, and the error of an invalid configuration: then all but the first are skipped."""
    read_only = invocation.options.read_only
    try:
        configuration = invocation.configuration
    except BadConfig as error:
        stores = Stores(Settings(), say=invocation.say)
        return stores, store_checks(stores, error, [], [], read_only, journals), error
    problems = [*configuration.problems, *find_unusual_settings(configuration)]
    warnings = [masked(f"{problem.where}: {problem.what}") for problem in problems]
    files = [str(path) for path in configuration.files]
    stores = invocation.stores
    return stores, store_checks(stores, None, warnings, files, read_only, journals), None
