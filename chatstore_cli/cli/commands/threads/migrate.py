"""`chatstore threads migrate`: the tables of threads in PostgreSQL."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Annotated

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.domain.errors import ExitCode, WrongUse
from chatstore_cli.render.listing import Record

app = single_command()


@command(
    app,
    "migrate",
    examples=["chatstore threads migrate --check", "chatstore threads migrate", "chatstore threads migrate --sql"],
    exits=[ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.FINDINGS, ExitCode.CONFLICT],
    meanings={ExitCode.FINDINGS: "findings: --check found tables of another version, or none"},
)
def migrate(
    context: typer.Context,
    check: Annotated[
        bool, typer.Option("--check", help="Report the version of the tables without changing them.")
    ] = False,
    sql: Annotated[
        bool, typer.Option("--sql", help="Print the statements that make the tables in an empty database.")
    ] = False,
) -> None:
    """Make or upgrade the tables of threads in PostgreSQL.

    The tables get the version that this chatstore needs. It requires chatstore.threads.backend: postgresql. All changes are one transaction. If two processes migrate one database,
    the second one waits and finds nothing to do. No command writes into tables of another version. Tables that a newer
    chatstore made are not changed, and the command exits with status 5. With --check the command exits with status 6 if the
    tables have another version or do not exist. --sql connects to no database.
    """
    from chatstore_cli.render.rows.migrations import MIGRATION_FIELDS, migration_row
    from chatstore_cli.wiring.postgres import migrate, migration_sql, migration_state

    invocation = Invocation(context, layout="threads")
    if check and sql:
        raise WrongUse(what="--check and --sql exclude each other.")
    if sql:
        sys.stdout.write(migration_sql())
        return
    if not invocation.settings.threads_on_postgres:
        raise WrongUse(
            what="Threads are stored in MongoDB, which needs no migration.",
            hint="To store them in PostgreSQL, set chatstore.threads.backend: postgresql.",
        )
    if check:
        state = migration_state(invocation.stores.postgres)
        invocation.emit(Record(MIGRATION_FIELDS, migration_row(state, "checked")))
        if not state.is_current:
            invocation.say(f"{state} {state.advice or ''}".rstrip())
            raise typer.Exit(ExitCode.FINDINGS)
        return
    invocation.will_write()
    before = migrate(invocation.stores.postgres)
    result = "unchanged" if before.is_current else "migrated"
    now = replace(before, version=before.needed, condition="current")
    invocation.emit(Record(MIGRATION_FIELDS, migration_row(now, result)))
