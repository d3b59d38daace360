"""The global options, and the command classes that accept them before and after the subcommand."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, fields
from datetime import tzinfo
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar, cast

import typer
from typer.core import TyperCommand, TyperGroup

from chatstore_cli.cli.option_values import use_plain_converters
from chatstore_cli.domain.errors import EXIT_MEANINGS, ExitCode, WrongUse
from chatstore_cli.render.output_format import OutputFormat

if TYPE_CHECKING:
    from chatstore_cli.cli.invocation import Invocation

Function = TypeVar("Function", bound=Callable[..., Any])

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
        raise typer.BadParameter(f"{value!r} is not one of {', '.join(COLOR_CHOICES)}.", param_hint="--color")
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


def _global_parameters(*, hidden: bool) -> list[Any]:
    parameters = [copy(parameter) for parameter in _option_templates()]
    for parameter in parameters:
        parameter.expose_value = False
        parameter.callback = _store_value
        parameter.hidden = hidden
    return parameters


def _with_completions(parameters: list[Any], context: Any) -> list[Any]:
    if not context.resilient_parsing:  # a shell that requests completions is the only one that parses this way
        return parameters
    from chatstore_cli.cli.completed_values import add_completions

    return add_completions(parameters)


def _without_types(parameters: list[Any]) -> list[Any]:
    """The parameters; help does not show the Python types of arguments, such as `PATH <list[str]>`."""
    for parameter in parameters:
        if parameter.param_type_name == "argument":
            parameter.display_type_rich = lambda ctx=None: ""
    return parameters


class ChatCommand(TyperCommand):
    """A command that also accepts the global options, and whose epilog keeps its line breaks."""

    def __init__(self, *arguments: Any, params: Sequence[Any] | None = None, **settings: Any) -> None:
        own = list(params or [])
        names = {parameter.name for parameter in own}  # a command may have its own meaning of --timeout
        shared = [parameter for parameter in _global_parameters(hidden=True) if parameter.name not in names]
        super().__init__(*arguments, params=[*own, *shared], **settings)

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, including --help, with converters that do not need pydantic."""
        return _with_completions(_without_types(use_plain_converters(super().get_params(ctx))), ctx)

    def format_epilog(self: Any, ctx: Any, formatter: Any) -> None:
        """Write the examples and exit statuses with their line breaks."""
        if self.epilog:
            formatter.write("\n" + self.epilog + "\n")


class ChatGroup(TyperGroup):
    """A group of commands that also accepts the global options."""

    hides_global_options = True
    lazy_commands: ClassVar[Mapping[str, str]] = {}
    """Subcommands that are imported when they are called: name -> module below cli/commands/."""

    def __init__(self, *arguments: Any, params: Sequence[Any] | None = None, **settings: Any) -> None:
        own = [*(params or []), *_global_parameters(hidden=self.hides_global_options)]
        super().__init__(*arguments, params=own, **settings)

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, including --help, with converters that do not need pydantic."""
        return _with_completions(_without_types(use_plain_converters(super().get_params(ctx))), ctx)

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, with lazy commands last."""
        return [*super().list_commands(ctx), *self.lazy_commands]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The subcommand, imported if it is lazy; None if there is no command of that name."""
        if cmd_name not in self.lazy_commands:
            return super().get_command(ctx, cmd_name)
        module = importlib.import_module(f"chatstore_cli.cli.commands.{self.lazy_commands[cmd_name]}")
        command = typer.main.get_command(module.app)
        # A module with several commands is a group of them.
        return command.commands.get(cmd_name, command) if isinstance(command, TyperGroup) else command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The subcommand, or an error that suggests similar names, also those of lazy commands."""
        imported = self.commands
        self.commands = cast(Any, {**imported, **dict.fromkeys(self.lazy_commands)})  # Typer reads only the names
        try:
            return super().resolve_command(ctx, args)
        finally:
            self.commands = imported

    format_epilog = ChatCommand.format_epilog


def group(name: str, summary: str, lazy_commands: Mapping[str, str] | None = None) -> typer.Typer:
    """A Typer for a command group, such as `sessions`."""
    app = typer.Typer(
        cls=_group_class(lazy_commands or {}),
        name=name,
        help=summary,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
    )
    # Without a callback, Typer makes a group with one own command that command itself, whatever its lazy commands are.
    app.callback()(lambda: None)
    return app


def _group_class(lazy_commands: Mapping[str, str]) -> type[ChatGroup]:
    return type("LazyGroup", (ChatGroup,), {"lazy_commands": lazy_commands})


def single_command() -> typer.Typer:
    """A Typer for a module with one command."""
    return typer.Typer(add_completion=False, rich_markup_mode=None)


def command_with_subcommands(
    name: str,
    lazy_commands: Mapping[str, str],
    *,
    examples: Sequence[str],
    exits: Sequence[ExitCode],
    meanings: Mapping[ExitCode, str] | None = None,
) -> tuple[typer.Typer, Callable[[Function], Function]]:
    """A Typer for a command that also has subcommands, such as `usage`, and the decorator of the command itself."""
    group_class = _group_class(lazy_commands)
    app = typer.Typer(cls=group_class, name=name, add_completion=False, rich_markup_mode=None)
    return app, app.callback(
        cls=group_class, invoke_without_command=True, epilog=epilog(examples, exits, meanings or {})
    )


def _given_options(context: typer.Context) -> list[str]:
    """The options of a command on this command line, without the global ones."""
    return [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in context.params
        and (source := context.get_parameter_source(parameter.name)) is not None
        and source.name == "COMMANDLINE"
    ]


def reject_other_options(context: typer.Context, *accepted: str) -> None:
    """Raise WrongUse if options of a command are given that have no effect beside the accepted ones."""
    if others := [option for option in _given_options(context) if option not in accepted]:
        what = f"{', '.join(others)} cannot be combined with {accepted[0]}."
        raise WrongUse(what=what, hint=f"Remove {', '.join(others)} or {accepted[0]}.")


def reject_options_without(context: typer.Context, needed: str, *options: str) -> None:
    """Raise WrongUse if one of the options is given, which have an effect only with the `needed` one."""
    if given := [option for option in _given_options(context) if option in options]:
        what = f"{', '.join(given)} {'has' if len(given) == 1 else 'have'} no effect without {needed}."
        raise WrongUse(what=what, hint=f"Add {needed}, or remove {', '.join(given)}.")


def reject_parent_options(context: typer.Context) -> None:
    """Raise WrongUse if options of a command are given before its subcommand, which does not have them.

    Global options are accepted there.
    """
    if options := _given_options(context):
        subcommand = f"{context.command_path} {context.invoked_subcommand}"
        verb = "is an option" if len(options) == 1 else "are options"
        what = f"{', '.join(options)} {verb} of {context.command_path}, not of {subcommand}."
        raise WrongUse(what=what, hint=f"Remove {'it' if len(options) == 1 else 'them'}, or see {subcommand} --help.")


def command(
    app: typer.Typer,
    name: str,
    *,
    examples: Sequence[str],
    exits: Sequence[ExitCode],
    meanings: Mapping[ExitCode, str] | None = None,
) -> Callable[[Function], Function]:
    """Register a command. Its docstring is its help, which ends with the examples and exit statuses.

    `meanings` replace the usual descriptions of exit statuses.
    """
    return app.command(name, cls=ChatCommand, epilog=epilog(examples, exits, meanings or {}))


def epilog(examples: Sequence[str], exits: Sequence[ExitCode], own_meanings: Mapping[ExitCode, str]) -> str:
    """The end of a command's help: examples and exit statuses."""
    always = {ExitCode.DONE, ExitCode.FAILED, ExitCode.WRONG_USE, ExitCode.INTERRUPTED}
    meanings = [
        f"  {int(code):>3}  {own_meanings.get(code, meaning)}"
        for code, meaning in EXIT_MEANINGS.items()
        if code in always | set(exits)
    ]
    heading = "Example:" if len(examples) == 1 else "Examples:"
    return "\n".join(
        [
            heading,
            *(f"  {example}" for example in examples),
            "",
            "Exit status:",
            *meanings,
            "",
            "The global options (chatstore --help) are accepted too.",
        ]
    )
