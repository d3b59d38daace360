"""The arguments and options that the commands of `chatstore general` and `chatstore workflows` share."""

from __future__ import annotations

from typing import Annotated

import typer

ChatArgument = Annotated[
    str,
    typer.Argument(metavar="SESSION_ID", help="The exact id of the general chat."),
]
TenantOption = Annotated[str, typer.Option("--tenant", metavar="ID", help="The id of the user's tenant.")]
UserOption = Annotated[str, typer.Option("--user", metavar="ID", help="The id of the user.")]
OwnerTenantOption = Annotated[
    str | None,
    typer.Option("--tenant", metavar="ID", help="Require this tenant. Other tenants' general chats count as missing."),
]
SessionKeyOption = Annotated[
    str, typer.Option("--session-key", metavar="KEY", help="The key of the client session, as the application set it.")
]
