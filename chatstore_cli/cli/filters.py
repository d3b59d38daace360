"""The arguments that name a session or journals, and the options that filter sessions: shared by many commands."""

from __future__ import annotations

from datetime import tzinfo
from typing import Annotated

import typer

from chatstore_cli.core.labels.checks import checked_tag
from chatstore_cli.domain.periods import read_period
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.domain.session import SessionStatus
from chatstore_cli.domain.times import utc_now

SessionArgument = Annotated[str, typer.Argument(metavar="SESSION_ID", help="The exact id of the session.")]
JournalPaths = Annotated[
    list[str] | None,
    typer.Argument(metavar="PATH", help="Journals or folders of journals [default: mongo.cache.disk_path]"),
]
MapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="NAME=FIELD",
        help="Read NAME (such as text or roles.bot) from FIELD of journals; repeatable. Overrides mongo.cache.mapping.",
    ),
]
LayoutOption = Annotated[
    str | None,
    typer.Option(
        "--layout",
        metavar="NAME",
        help="Include only this layout: workflow, messages, threads, general, calls or agent_sessions.",
    ),
]
DocumentLayoutOption = Annotated[
    str | None, typer.Option("--layout", metavar="workflow|general", help="Include only this layout.")
]
RedactOption = Annotated[
    bool,
    typer.Option(
        "--redact",
        help="Replace e-mail addresses, phone and card numbers, IBANs, keys and passwords by numbered stand-ins. Names remain.",
    ),
]
TenantOption = Annotated[
    str | None,
    typer.Option(
        "--tenant", metavar="ID", help="Include only sessions of this tenant. Write an ObjectId as 24 hex digits."
    ),
]
UserOption = Annotated[str | None, typer.Option("--user", metavar="ID", help="Include only sessions of this user.")]
WorkflowOption = Annotated[
    str | None, typer.Option("--workflow", metavar="NAME", help="Include only sessions of this workflow.")
]
StatusOption = Annotated[SessionStatus | None, typer.Option("--status", help="Include only sessions with this status.")]
PausedOption = Annotated[bool, typer.Option("--paused", help="Include only paused sessions.")]
SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="TIME",
        help="Include only sessions updated at or after this time: 7d, 1w, yesterday or ISO 8601.",
    ),
]
UntilOption = Annotated[
    str | None,
    typer.Option(
        "--until",
        metavar="TIME",
        help="Include only sessions updated before this time, as in --since. A date includes that day.",
    ),
]

TagOption = Annotated[str | None, typer.Option("--tag", metavar="TAG", help="Include only sessions with this tag.")]


def session_query(
    layout: str | None,
    tenant: str | None,
    user: str | None,
    workflow: str | None,
    status: SessionStatus | None,
    since: str | None,
    until: str | None,
    zone: tzinfo,
    *,
    paused: bool = False,
    tag: str | None = None,
) -> SessionQuery:
    """The query that the options describe. Days, and times without an offset, are in the time zone `zone`.

    Raises BadValue for text that is not a time, WrongUse if `since` is not before `until`.
    """
    period = read_period(since, until, utc_now(), zone)
    return SessionQuery(
        layout=layout,
        tenant_id=tenant,
        user_id=user,
        workflow=workflow,
        status=status,
        paused=paused,
        since=period.since,
        until=period.until,
        tag=None if tag is None else checked_tag(tag),
    )
