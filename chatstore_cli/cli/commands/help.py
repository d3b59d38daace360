"""`chatstore help`: the help of the commands, as with --help."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.domain.errors import WrongUse

app = single_command()


@command(app, "help", examples=["chatstore help", "chatstore help sessions list"], exits=[])
def help_of_command(
    context: typer.Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="COMMAND", help="The words of the command, such as `sessions list`.")
    ] = None,
) -> None:
    """Print the help of a command, as the command does with --help. Without a command, list all commands."""
    at: Any = context.find_root()
    for word in words or []:
        if not hasattr(at.command, "resolve_command"):
            raise WrongUse(what=f"{at.command_path} has no command {word!r}.", hint=f"See {at.command_path} --help.")
        name, found, _ = at.command.resolve_command(at, [word])
        at = found.context_class(found, info_name=name, parent=at)
    sys.stdout.write(at.command.get_help(at) + "\n")
