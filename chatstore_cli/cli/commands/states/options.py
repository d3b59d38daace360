"""The arguments that the commands of `chatstore states` share, and their errors."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.domain.errors import NotFound

UserArgument = Annotated[str, typer.Argument(metavar="USER_ID", help="The exact id of the user.")]
SessionArgument = Annotated[str, typer.Argument(metavar="SESSION_ID", help="The exact id of the session.")]


def no_state(user_id: str, session_id: str) -> NotFound:
    """The error for a user and a session without a state."""
    hint = "To list states, run: chatstore states list."
    return NotFound(kind_of_thing="state of user", name=user_id, where=f" in session {session_id!r}", hint=hint)


def no_value(user_id: str, session_id: str, path: str) -> NotFound:
    """The error for a path that leads to no value, or for a state that does not exist."""
    where = f" in the state of user {user_id!r} in session {session_id!r}"
    hint = f"To show the state, run: chatstore states get {user_id} {session_id}."
    return NotFound(kind_of_thing="value", name=path, where=where, hint=hint)
