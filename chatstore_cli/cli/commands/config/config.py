"""`chatstore config init|show|check`: the configuration."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from chatstore_cli.cli.command_declarations import command, group
from chatstore_cli.cli.commands.config.problems import all_problems
from chatstore_cli.cli.file_names import YAML, check_file_name
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.config.settings import value_of
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.domain.secrets import masked, masked_uri
from chatstore_cli.render.listing import Column, Listing
from chatstore_cli.wiring.system import new_file

app = group("config", "Write, show and check the configuration.")


@command(
    app,
    "init",
    examples=["chatstore config init", "chatstore config init --to ~/.config/chatstore/config.yaml"],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.CONFLICT],
)
def init(
    context: typer.Context,
    to: Annotated[
        str, typer.Option("--to", metavar="FILE", help="Write the configuration to this file.")
    ] = "config.yaml",
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it exists.")] = False,
) -> None:
    """Write the example configuration with every setting's default."""
    from importlib.resources import files

    invocation = Invocation(context)
    check_file_name("--to", to, YAML, is_chosen=False, say=invocation.say, hint="End the name with .yaml.")
    with new_file(to, force=force, create_own_folder=True) as stream:
        stream.write(files("chatstore_cli").joinpath("config.example.yaml").read_bytes())
    invocation.say(f"Wrote {to}. To print every value with its source: chatstore config show")
    named = os.environ.get("CHATSTORE_CONFIG")
    if named and Path(named).absolute() != Path(to).absolute():
        invocation.say(
            f"{to} is not read, because CHATSTORE_CONFIG names {named}. Unset CHATSTORE_CONFIG, or use --config."
        )


@command(app, "show", examples=["chatstore config show", "chatstore config show -o json"], exits=[])
def show(context: typer.Context) -> None:
    """Show the value and the source of every setting.

    The source of a value names the profile that it came from. A notice, and `profile` in JSON, names the profile in use.
    Passwords are masked.
    """
    invocation = Invocation(context)
    configuration = invocation.configuration

    def rows() -> Iterator[dict[str, Any]]:
        for key, source in configuration.sources.items():
            value = value_of(configuration.settings, key)
            yield {"key": key, "value": masked_uri(value) if isinstance(value, str) else value, "source": source}

    columns = (
        Column("key", "SETTING", whole=True),
        Column("value", "VALUE", wraps=True),
        Column("source", "SOURCE", wraps=True),
    )
    active = configuration.profile
    beside = {"profile": None if active is None else active.name, "profiles": [*configuration.profiles]}
    invocation.emit(Listing(columns, rows(), beside=beside))
    if active is not None:
        invocation.say(f"Profile: {active.name} ({active.chosen_by})")
        for notice in active.overridden:
            invocation.say(f"{notice} of the profile.")
    elif configuration.profiles:
        invocation.say(f"No profile is in use. Profiles: {', '.join(configuration.profiles)}")


@command(app, "check", examples=["chatstore config check", "chatstore config check --config prod.yaml"], exits=[])
def check(context: typer.Context) -> None:
    """Check the configuration for mistakes, without connecting.

    It reports unknown settings and invalid values as errors, and unusual values as warnings. Every profile is checked; a
    variable that only a profile not in use needs is a warning. Exits with status 2 if there is an error, and with 0 if
    there are only warnings.
    """
    invocation = Invocation(context)
    problems, files = all_problems(invocation)
    rows = [
        {
            "level": "error" if problem.serious else "warning",
            "where": problem.where,
            "message": masked(problem.what),
            "hint": problem.hint,
        }
        for problem in sorted(problems, key=lambda problem: not problem.serious)
    ]
    columns = (
        Column("level", "LEVEL", style=lambda level: "red" if level == "error" else "yellow"),
        Column("where", "WHERE", wraps=True),
        Column("message", "PROBLEM", wraps=True),
        Column("hint", "WHAT TO DO", wraps=True),
    )
    read = ", ".join(files) or "no file"
    invocation.emit(Listing(columns, rows, empty=f"The configuration has no problems (read: {read})."))
    if any(problem.serious for problem in problems):
        raise typer.Exit(ExitCode.WRONG_USE)
