"""`chatstore verify`: a checklist from the configuration to the database, and of a running application."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.commands.verify.options import (
    ApiUrlOption,
    DeadlineOption,
    HeaderOption,
    LogOption,
    OnlyOption,
    SkipOption,
    SpawnOption,
    WsPathOption,
)
from chatstore_cli.cli.extras import require_server_and_api_extras
from chatstore_cli.cli.filters import JournalPaths, MapOption
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.verify_checks import store_checks_of
from chatstore_cli.core.verify.checklist import Check, has_failed, run_checks, selected
from chatstore_cli.domain.errors import BadConfig, ChatstoreError, ExitCode, WrongUse
from chatstore_cli.render.listing import Listing
from chatstore_cli.render.rows.checks import CHECK_COLUMNS, check_list_item, check_row

if TYPE_CHECKING:
    from chatstore_cli.core.verify.application.checks import ApplicationChecks
    from chatstore_cli.domain.checks import CheckResult

app = single_command()


@command(
    app,
    "verify",
    examples=[
        "chatstore verify",
        "chatstore verify data/cache/chat_sessions -o md",
        "chatstore verify --only connection,indexes",
        "chatstore verify --api-url http://localhost:8000 --log app.log",
        "chatstore verify --spawn",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.FINDINGS],
    meanings={ExitCode.FINDINGS: "findings: a check failed"},
)
def verify(
    context: typer.Context,
    paths: JournalPaths = None,
    only: OnlyOption = None,
    skip: SkipOption = None,
    api_url: ApiUrlOption = None,
    spawn: SpawnOption = False,
    ws_path: WsPathOption = None,
    header: HeaderOption = None,
    log: LogOption = None,
    deadline: DeadlineOption = None,
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

    --spawn does the same with a server that it starts: chatstore serve on a free port, with a new database on the
    configured MongoDB, new journals, and the responder `echo`. It also checks replay, a general chat, a saved agent and
    the page. At the end it stops the server, and removes the database and the folder, also after Ctrl-C. It needs the
    extras `api` and `server`, and a user who may create a database. If MongoDB cannot be reached, it exits with status 5
    and runs no check.
    """
    invocation = Invocation(context)
    invocation.use_mapping(mapping)
    stores, checks, broken = store_checks_of(invocation, paths or [])
    if api_url is None and not spawn:
        _require_url({"--ws-path": ws_path, "--header": header, "--log": log, "--deadline": deadline}, only)
    if spawn:
        require_server_and_api_extras()
    if broken is not None and spawn:
        raise broken
    from chatstore_cli.wiring.verify_application import ApplicationOptions, opened_application

    options = ApplicationOptions(header or [], ws_path, deadline, log or [], invocation.options.read_only)
    source = invocation.options.config, invocation.options.profile
    opened = opened_application(stores, api_url, options, spawn=spawn, source=source, say=invocation.say)
    with opened as application:
        results = _run(invocation, checks, application, _names(only), _names(skip), broken)
    rows = [check_row(result) for result in results]
    invocation.emit(Listing(CHECK_COLUMNS, rows, empty="No checks selected.", list_item=check_list_item))
    if has_failed(results):
        raise typer.Exit(ExitCode.FINDINGS)


def _run(
    invocation: Invocation,
    checks: list[Check],
    application: ApplicationChecks | None,
    only: list[str],
    skip: list[str],
    broken: BadConfig | None,
) -> list[CheckResult]:
    """Run the selected checks, and remove what they sent to the application."""
    if application is None:
        checks = selected(checks, only, skip)
    else:
        checks = application.select([*checks, *application.all()], only, skip)
    names = {check.name for check in checks}
    if broken is not None and "configuration" not in names:
        raise broken
    if names & {"round-trip", "write-concern", "api-cleanup"} and broken is None and not invocation.options.read_only:
        with suppress(ChatstoreError):  # if there is no target, the checklist reports it
            invocation.will_write()
    if application is None:
        return list(run_checks(checks))
    from chatstore_cli.wiring.verify_application import run_and_remove

    invocation.say(application.announcement)
    return run_and_remove(checks, application, invocation.say)


def _require_url(options: dict[str, object], only: list[str] | None) -> None:
    needing = [option for option, value in options.items() if value not in (None, (), [])]
    needing += [f"--only {name}" for name in _names(only) if name.startswith("api-")]
    if needing:
        raise WrongUse(
            what=f"{needing[0]} requires --api-url or --spawn.", hint="Add --api-url with the application's URL."
        )


def _names(values: list[str] | None) -> list[str]:
    return [name.strip() for words in values or [] for name in words.split(",") if name.strip()]
