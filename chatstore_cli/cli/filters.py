"""Options that choose sessions, shared by the commands that read many."""

from __future__ import annotations

from datetime import UTC, tzinfo
from typing import Annotated

import typer

from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.domain.session import SessionStatus
from chatstore_cli.domain.times import read_span, utc_now

LayoutOption = Annotated[str | None, typer.Option("--layout", metavar="NAME", help="Only this stored shape.")]
TenantOption = Annotated[
    str | None, typer.Option("--tenant", metavar="ID", help="Only this tenant (an ObjectId by its hex).")
]
UserOption = Annotated[str | None, typer.Option("--user", metavar="ID", help="Only this user.")]
WorkflowOption = Annotated[str | None, typer.Option("--workflow", metavar="NAME", help="Only this workflow.")]
StatusOption = Annotated[SessionStatus | None, typer.Option("--status", help="Only this status.")]
PausedOption = Annotated[bool, typer.Option("--paused", help="Only what is paused.")]
SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="Updated at or after: 7d, 1w, yesterday, or ISO 8601.")
]
UntilOption = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Updated before: as --since.")]


def session_query(
    layout: str | None,
    tenant: str | None,
    user: str | None,
    workflow: str | None,
    status: SessionStatus | None,
    since: str | None,
    until: str | None,
    zone: tzinfo = UTC,
    *,
    paused: bool = False,
) -> SessionQuery:
    """The options as a query; days and times without an offset are those of `zone`.

    Raises BadValue for a time that is none, WrongUse for a span of no time.
    """
    first, last = read_span(since, until, utc_now(), zone)
    return SessionQuery(
        layout=layout,
        tenant_id=tenant,
        user_id=user,
        workflow=workflow,
        status=status,
        paused=paused,
        since=first,
        until=last,
    )
