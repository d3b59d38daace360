"""The arguments and options that the commands of `chatstore general` and `chatstore workflows` share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from chatstore_cli.domain.errors import WrongUse

_OPTIONS = {
    "app_id": "--tenant",
    "user_id": "--user",
    "session_key": "--session-key",
    "general_chat_id": "SESSION_ID",
    "chat_id": "SESSION_ID",
    "event_id": "--message-id",
}
"""The options and arguments of the command line, by the names of the library's arguments."""

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


@contextmanager
def options_in_errors() -> Iterator[None]:
    """Errors of this block name options of the command line instead of arguments of the library."""
    try:
        yield
    except WrongUse as error:
        named = re.sub(r"^\w+", lambda found: _OPTIONS.get(found[0], found[0]), error.message)
        error.message = named if named.endswith(".") else f"{named}."
        raise
