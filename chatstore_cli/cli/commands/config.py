"""`chatstore config init|show|check`: the configuration."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.options import command, group
from chatstore_cli.config.advice import find_unusual_settings
from chatstore_cli.config.loading import Configuration
from chatstore_cli.config.settings import value_of
from chatstore_cli.config.sources import Problem
from chatstore_cli.domain.errors import BadConfig, BadValue, ExitCode, WrongUse
from chatstore_cli.domain.secrets import masked, masked_uri
from chatstore_cli.render.listing import Column, Listing
from chatstore_cli.wiring.stores import Stores
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

    with new_file(to, force=force, create_own_folder=True) as stream:
        stream.write(files("chatstore_cli").joinpath("config.example.yaml").read_bytes())
    invocation = Invocation(context)
    invocation.say(f"Wrote {to}. To print every value with its source: chatstore config show")
    named = os.environ.get("CHATSTORE_CONFIG")
    if named and Path(named).absolute() != Path(to).absolute():
        invocation.say(
            f"{to} is not read, because CHATSTORE_CONFIG names {named}. Unset CHATSTORE_CONFIG, or use --config."
        )


@command(app, "show", examples=["chatstore config show", "chatstore config show -o json"], exits=[])
def show(context: typer.Context) -> None:
    """Show the value and the source of every setting.

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
    invocation.emit(Listing(columns, rows()))


@command(app, "check", examples=["chatstore config check", "chatstore config check --config prod.yaml"], exits=[])
def check(context: typer.Context) -> None:
    """Check the configuration for mistakes, without connecting.

    It reports unknown settings and invalid values as errors, and unusual values as warnings. Exits with status 2 if there
    is an error, and with 0 if there are only warnings.
    """
    invocation = Invocation(context)
    problems, files = _problems(invocation)
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


def _problems(invocation: Invocation) -> tuple[list[Problem], list[str]]:
    try:
        configuration = invocation.load_configuration()
    except BadConfig as error:
        return [Problem(str(error.facts["where"]), str(error.facts["what"]), error.hint)], []
    problems = [*configuration.problems, *find_unusual_settings(configuration)]
    if not any(problem.serious for problem in problems):
        problems += _uri_problems(invocation, configuration)
        problems += _postgres_problems(invocation, configuration)
    return problems, [str(path) for path in configuration.files]


def _postgres_problems(invocation: Invocation, configuration: Configuration) -> list[Problem]:
    """Problems of the PostgreSQL of threads: an option that its driver does not know, or a missing extra."""
    try:
        if configuration.settings.threads_on_postgres:
            _ = Stores(configuration.settings, say=invocation.say).postgres
    except WrongUse as error:
        return [Problem(configuration.sources["chatstore.threads.uri"], error.message, error.hint)]
    return []


def _uri_problems(invocation: Invocation, configuration: Configuration) -> list[Problem]:
    """Problems that the driver finds in the URI. A mongodb+srv:// URI is skipped, as the driver would query DNS."""
    if not configuration.settings.mongo.uri.startswith("mongodb://"):
        return []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            _ = Stores(configuration.settings, say=invocation.say).connection
        except BadValue as error:
            return [Problem(configuration.sources["mongo.uri"], error.message, error.hint)]
    warned = [str(warning.message).partition(" Refer to")[0].rstrip(".") for warning in caught]
    return [Problem(configuration.sources["mongo.uri"], f"mongo.uri: {text}", serious=False) for text in warned]
