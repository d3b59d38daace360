"""`chatstore sessions tenants` and `users`: who has sessions, and how many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from chatstore_cli.cli.columns import ColumnsOption, chosen_columns
from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.filters import LayoutOption
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.known_names import require_known_names
from chatstore_cli.cli.readable_sessions import readable_readers
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.domain.quantities import quantity
from chatstore_cli.render.listing import Listing
from chatstore_cli.render.rows.names import name_columns, name_row

if TYPE_CHECKING:
    from chatstore_cli.domain.session_reader import NameField

app = single_command()

_DEFAULT_LIMIT = 100
LimitOption = Annotated[
    int,
    typer.Option("--limit", metavar="N", min=1, max=10_000, help="Show at most N."),
]
AllOption = Annotated[bool, typer.Option("--all", help="Show all, at most 100,000.")]
_EXITS = [ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE]


@command(
    app,
    "tenants",
    examples=["chatstore sessions tenants", "chatstore sessions tenants --layout workflow -o json"],
    exits=_EXITS,
)
def tenants(
    context: typer.Context,
    layout: LayoutOption = None,
    limit: LimitOption = _DEFAULT_LIMIT,
    all_: AllOption = False,
    columns: ColumnsOption = None,
) -> None:
    """List the tenants of sessions, and count their sessions.

    Those with the most sessions are first.
    The row without a tenant has the sessions without one. Layouts without tenants are left out, with a notice. Each layout
    is counted for at most 5 seconds. If that is not enough, its newest sessions are counted, at most 10,000, and a notice
    reports it; in JSON `is_complete` is false.
    """
    _list(context, "tenant", layout, None, limit, all_=all_, columns=columns)


@command(
    app,
    "users",
    examples=["chatstore sessions users", "chatstore sessions users --tenant acme --limit 20"],
    exits=_EXITS,
)
def users(
    context: typer.Context,
    layout: LayoutOption = None,
    tenant: Annotated[
        str | None, typer.Option("--tenant", metavar="ID", help="Count only sessions of this tenant.")
    ] = None,
    limit: LimitOption = _DEFAULT_LIMIT,
    all_: AllOption = False,
    columns: ColumnsOption = None,
) -> None:
    """List the users of sessions, and count their sessions.

    Those with the most sessions are first.
    The row without a user has the sessions without one. The limits are those of chatstore sessions tenants.
    """
    _list(context, "user", layout, tenant, limit, all_=all_, columns=columns)


def _list(
    context: typer.Context,
    by: NameField,
    layout: str | None,
    tenant: str | None,
    limit: int,
    *,
    all_: bool,
    columns: str | None,
) -> None:
    from chatstore_cli.core.sessions.names import named_sessions
    from chatstore_cli.domain.queries import SessionQuery

    invocation = Invocation(context, layout=layout)
    shown = chosen_columns(name_columns(by), columns)
    readers = readable_readers(invocation, layout)
    names = named_sessions(readers, by, tenant_id=tenant)
    if not names.items and tenant is not None:
        require_known_names(invocation, readers, SessionQuery(layout=layout, tenant_id=tenant))
    items = names.items if all_ else names.items[:limit]
    total = f"{len(items):,} of {quantity(len(names.items), by)}."
    listing = Listing(
        shown,
        [name_row(each, by) for each in items],
        empty=f"No {by}s in {invocation.target}.",
        beside={"is_complete": names.is_complete},
        is_truncated=len(items) < len(names.items),
        of_total=lambda: total if len(items) < len(names.items) else None,
    )
    invocation.emit_page(listing, names.notes)
