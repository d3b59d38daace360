"""The global options of chatstore: their declarations, and their values on this command line."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, fields
from datetime import tzinfo
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatstore_cli.render.output_format import OutputFormat

if TYPE_CHECKING:
    from chatstore_cli.cli.invocation import Invocation

COLOR_CHOICES = ("auto", "always", "never")


@dataclass
class GlobalOptions:
    """The values of the global options on this command line."""

    config: str | None = None
    profile: str | None = None
    uri: str | None = None
    database: str | None = None
    output: OutputFormat | None = None
    color: str = "auto"
    quiet: bool = False
    verbose: bool = False
    no_input: bool = False
    read_only: bool = False
    timeout: float | None = None
    timezone: tzinfo | None = None
    relative: bool = False
    no_pager: bool = False
    invocation: Invocation | None = None
    """The run that uses them, if the command has made one; not an option."""

    @property
    def prints_table(self) -> bool:
        """Whether results are tables for a person."""
        return self.output in (None, OutputFormat.TABLE)

    @property
    def prints_row_stream(self) -> bool:
        """Whether rows on stdout are independent, so that a service can write them while it runs."""
        return self.output in (OutputFormat.JSONL, OutputFormat.YAML)


def _global_option_declarations(
    config: Annotated[
        str | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="Read this configuration file (default: CHATSTORE_CONFIG, else ./config.yaml).",
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            metavar="NAME",
            help="Use this profile of the configuration file (default: CHATSTORE_PROFILE, else none).",
        ),
    ] = None,
    uri: Annotated[
        str | None,
        typer.Option("--uri", metavar="URI", help="Connect to this MongoDB: a URI or `embedded` (default: mongo.uri)."),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option("--database", metavar="NAME", help="Use this database (default: mongo.database)."),
    ] = None,
    output: Annotated[
        OutputFormat | None, typer.Option("--output", "-o", help="Print results in this format (default: table).")
    ] = None,
    color: Annotated[
        str | None,
        typer.Option("--color", metavar="auto|always|never", help="Colour the output (default: auto, on a terminal)."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors on stderr.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print more details on stderr.")] = False,
    no_input: Annotated[
        bool, typer.Option("--no-input", help="Never ask for confirmation: fail and name the option that confirms.")
    ] = False,
    read_only: Annotated[bool, typer.Option("--read-only", help="Reject every write.")] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            help="Wait at most SECONDS for an unreachable MongoDB (default: mongo.timeout_seconds).",
        ),
    ] = None,
    timezone: Annotated[
        str | None,
        typer.Option(
            "--timezone",
            metavar="ZONE",
            help="Show times in tables, and read days and times, in this time zone, such as Europe/Berlin "
            "(default: chatstore.timezone).",
        ),
    ] = None,
    relative: Annotated[
        bool, typer.Option("--relative", help="Show times in tables relative to now, such as `3 h ago`.")
    ] = False,
    no_pager: Annotated[
        bool,
        typer.Option(
            "--no-pager", help="Print long output at once (default on a terminal: $CHATSTORE_PAGER, $PAGER or less)."
        ),
    ] = False,
) -> None:
    """Declares parameters that Typer turns into options. It is never called."""


def _store_value(context: Any, parameter: Any, value: Any) -> Any:
    if value is None or value is False:
        return value
    if parameter.name == "color" and value not in COLOR_CHOICES:
        from chatstore_cli.core.choices import not_one_of

        raise not_one_of("--color", value, COLOR_CHOICES)
    if parameter.name == "timezone":
        from chatstore_cli.config.time_zones import time_zone

        try:
            value = time_zone(value)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--timezone") from error
    setattr(global_options(context), parameter.name, value)
    return value


def global_options(context: Any) -> GlobalOptions:
    """The global options of the run that this Typer context belongs to."""
    root = context.find_root()
    if not isinstance(root.obj, GlobalOptions):
        root.obj = GlobalOptions()
    return root.obj


@cache
def _option_templates() -> tuple[Any, ...]:
    template = typer.Typer(add_completion=False, rich_markup_mode=None)
    template.command()(_global_option_declarations)
    names = {field.name for field in fields(GlobalOptions)}
    return tuple(parameter for parameter in typer.main.get_command(template).params if parameter.name in names)


def global_parameters(*, hidden: bool) -> list[Any]:
    """The parameters of the global options, for one command. Their values are stored in `global_options`.

    With `hidden`, help does not list them.
    """
    parameters = [copy(parameter) for parameter in _option_templates()]
    for parameter in parameters:
        parameter.expose_value = False
        parameter.callback = _store_value
        parameter.hidden = hidden
    return parameters
