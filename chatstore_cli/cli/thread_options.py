"""The arguments and options that the commands of `chatstore threads` share."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.domain.threads.ports import Owner

ThreadArgument = Annotated[str, typer.Argument(metavar="THREAD_ID", help="The exact id of the thread.")]
OwnerUserOption = Annotated[
    str | None,
    typer.Option("--user", metavar="ID", help="Require this user. Other users' threads count as missing."),
]
OwnerTenantOption = Annotated[
    str | None,
    typer.Option("--tenant", metavar="ID", help="Require this tenant. Other tenants' threads count as missing."),
]
TextOption = Annotated[str | None, typer.Option("--text", metavar="TEXT", help="The text of the message.")]
FileOption = Annotated[
    str | None,
    typer.Option(
        "--file", metavar="FILE", help="Read the text from FILE (- for stdin). A line end at its end is removed."
    ),
]
ContentOption = Annotated[
    str | None,
    typer.Option(
        "--content", metavar="JSON", help="The content as a JSON object, for a message that is more than a text."
    ),
]


def owner_of(user: str | None, tenant: str | None) -> Owner:
    """The condition on the owner that --user and --tenant give."""
    return Owner(user, tenant)
