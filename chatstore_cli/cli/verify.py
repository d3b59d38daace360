"""`chatstore verify`: a checklist of the whole path, from configuration to database."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.options import command, single
from chatstore_cli.domain.errors import BadConfig, ChatstoreError, ExitCode
from chatstore_cli.render.listing import Listing
from chatstore_cli.render.rows import CHECK_COLUMNS, check_list_item, check_row

if TYPE_CHECKING:
    from chatstore_cli.core.verify import Check

app = single()


@command(
    app,
    "verify",
    examples=["chatstore verify", "chatstore verify -o md", "chatstore verify --only connection,indexes"],
    exits=[ExitCode.FINDINGS],
)
def verify(
    context: typer.Context,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME[,NAME]...", help="Only these checks; repeatable.")
    ] = None,
    skip: Annotated[
        list[str] | None, typer.Option("--skip", metavar="NAME[,NAME]...", help="Not these checks; repeatable.")
    ] = None,
) -> None:
    """Check the whole path: configuration, connection, writing and reading, indexes, retention, journals, documents.

    Each check passes, warns, fails or is skipped, with the time it took and what to do. Checks that look at documents take
    verify.sample of them and stop after verify.seconds_per_check. What is written goes to a scratch collection, which is
    dropped again; --read-only leaves that out. Ends with 6 when any check failed, also where that is the connection or the
    configuration: this is a checklist, and the rest of it is worth having. -o md is a list to paste into a pull request.
    """
    from chatstore_cli.core.verify import chosen, has_failed, run_checks

    invocation = Invocation(context)
    checks, broken = _checks(invocation)
    checks = chosen(checks, _names(only), _names(skip))
    names = {check.name for check in checks}
    if broken is not None and "configuration" not in names:
        raise broken
    if names & {"round-trip", "write-concern"} and broken is None and not invocation.options.read_only:
        with suppress(ChatstoreError):  # where there is no way to the target, that is for the checklist to say
            invocation.will_write()
    results = list(run_checks(checks))
    rows = [check_row(result) for result in results]
    invocation.emit(Listing(CHECK_COLUMNS, rows, empty="No check was chosen.", list_item=check_list_item))
    if has_failed(results):
        raise typer.Exit(ExitCode.FINDINGS)


def _names(given: list[str] | None) -> list[str]:
    return [name.strip() for words in given or [] for name in words.split(",") if name.strip()]


def _checks(invocation: Invocation) -> tuple[list[Check], BadConfig | None]:
    """Every check; with a configuration that is wrong also its error, and no check but the first has anything to go on."""
    from chatstore_cli.config import Settings
    from chatstore_cli.config_advice import odd_but_legal
    from chatstore_cli.core.checks_database import DatabaseChecks
    from chatstore_cli.core.checks_local import LocalChecks
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
        problems = [*configuration.problems, *odd_but_legal(configuration)]
        warnings = [f"{problem.where}: {problem.what}" for problem in problems]
        files = [str(path) for path in configuration.files]
    settings, read_only = stores.settings, invocation.options.read_only
    seconds = settings.verify.seconds_per_check
    folder = Path(settings.mongo.cache.disk_path)
    local = LocalChecks(broken, warnings, files, folder, lambda: stores.pending_journal, seconds, read_only)
    database = DatabaseChecks(stores, settings.sessions_collection, seconds, read_only, utc_now)
    return [*local.first(), *database.all(), *local.last()], broken
