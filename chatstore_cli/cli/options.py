"""Global options, and the command classes that accept them before and after the subcommand."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, ClassVar, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from chatstore_cli.cli.option_values import read_plainly
from chatstore_cli.domain.errors import EXIT_MEANINGS, ExitCode, WrongUse
from chatstore_cli.render.output_format import OutputFormat

Function = TypeVar("Function", bound=Callable[..., Any])

COLOR_CHOICES = ("auto", "always", "never")


@dataclass
class GlobalOptions:
    """What was asked for on the command line, outside the subcommand's own options."""

    config: str | None = None
    uri: str | None = None
    database: str | None = None
    output: OutputFormat | None = None
    color: str = "auto"
    quiet: bool = False
    verbose: bool = False
    no_input: bool = False
    read_only: bool = False


def _declaration(
    config: Annotated[str | None, typer.Option("--config", metavar="FILE", help="Configuration file.")] = None,
    uri: Annotated[str | None, typer.Option("--uri", metavar="URI", help="MongoDB URI, or `embedded`.")] = None,
    database: Annotated[str | None, typer.Option("--database", metavar="NAME", help="Database.")] = None,
    output: Annotated[OutputFormat | None, typer.Option("--output", "-o", help="Format of stdout.")] = None,
    color: Annotated[str | None, typer.Option("--color", metavar="auto|always|never", help="Colour.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Nothing on stderr but errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="More on stderr.")] = False,
    no_input: Annotated[bool, typer.Option("--no-input", help="Never ask.")] = False,
    read_only: Annotated[bool, typer.Option("--read-only", help="Refuse every write.")] = False,
) -> None:
    """Only its parameters matter: Typer makes them into options."""


def _remember(context: Any, parameter: Any, value: Any) -> Any:
    if value is None or value is False:
        return value
    if parameter.name == "color" and value not in COLOR_CHOICES:
        raise typer.BadParameter(f"{value!r} is not one of {', '.join(COLOR_CHOICES)}.", param_hint="--color")
    setattr(global_options(context), parameter.name, value)
    return value


def global_options(context: Any) -> GlobalOptions:
    """The one record of global options of this run; takes a Typer context."""
    root = context.find_root()
    if not isinstance(root.obj, GlobalOptions):
        root.obj = GlobalOptions()
    return root.obj


@cache
def _templates() -> tuple[Any, ...]:
    template = typer.Typer(add_completion=False, rich_markup_mode=None)
    template.command()(_declaration)
    names = {field.name for field in fields(GlobalOptions)}
    return tuple(parameter for parameter in typer.main.get_command(template).params if parameter.name in names)


def _global_parameters(*, hidden: bool) -> list[Any]:
    parameters = [copy(parameter) for parameter in _templates()]
    for parameter in parameters:
        parameter.expose_value = False
        parameter.callback = _remember
        parameter.hidden = hidden
    return parameters


class ChatCommand(TyperCommand):
    """A command that takes the global options as well, and whose epilog keeps its line breaks."""

    def __init__(self, *arguments: Any, params: Sequence[Any] | None = None, **settings: Any) -> None:
        super().__init__(*arguments, params=[*(params or []), *_global_parameters(hidden=True)], **settings)

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, --help among them, each with a reader that does not need pydantic."""
        return read_plainly(super().get_params(ctx))

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples and exit statuses as they stand."""
        if self.epilog:
            formatter.write("\n" + self.epilog + "\n")


class ChatGroup(TyperGroup):
    """A group of commands that takes the global options as well."""

    globals_hidden = True
    later: ClassVar[Mapping[str, str]] = {}
    """Subcommands with a file of their own in cli/commands/, imported only when they are called: name -> module."""

    def __init__(self, *arguments: Any, params: Sequence[Any] | None = None, **settings: Any) -> None:
        own = [*(params or []), *_global_parameters(hidden=self.globals_hidden)]
        super().__init__(*arguments, params=own, **settings)

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, --help among them, each with a reader that does not need pydantic."""
        return read_plainly(super().get_params(ctx))

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, those with files of their own last."""
        return [*super().list_commands(ctx), *self.later]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The subcommand, imported where it has a file of its own; None where there is none of that name."""
        if cmd_name in self.later:
            found = typer.main.get_command(
                importlib.import_module(f"chatstore_cli.cli.commands.{self.later[cmd_name]}").app
            )
            # A file may have several of them, which then are a group of that file's own.
            among = found.commands if isinstance(found, TyperGroup) else {}
            return among.get(cmd_name, found)
        return super().get_command(ctx, cmd_name)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples and exit statuses as they stand."""
        if self.epilog:
            formatter.write("\n" + self.epilog + "\n")


def group(name: str, summary: str, later: Mapping[str, str] | None = None) -> typer.Typer:
    """A Typer for a command group, such as `sessions`; `later` names subcommands that are imported when called."""
    made = type("LaterGroup", (ChatGroup,), {"later": later}) if later else ChatGroup
    return typer.Typer(
        cls=made, name=name, help=summary, no_args_is_help=True, add_completion=False, rich_markup_mode=None
    )


def single() -> typer.Typer:
    """A Typer for a file that holds one command."""
    return typer.Typer(add_completion=False, rich_markup_mode=None)


def command_with_others(
    name: str, later: Mapping[str, str], *, examples: Sequence[str], exits: Sequence[ExitCode]
) -> tuple[typer.Typer, Callable[[Function], Function]]:
    """A Typer for a command that has subcommands besides, such as `usage`, and what registers the command itself."""
    made = type("LaterGroup", (ChatGroup,), {"later": later})
    app = typer.Typer(cls=made, name=name, add_completion=False, rich_markup_mode=None)
    return app, app.callback(cls=made, invoke_without_command=True, epilog=epilog(examples, exits, {}))


def refuse_own_options(context: typer.Context) -> None:
    """Raise WrongUse where options of a command that has subcommands stand before one of these, which knows none of them.

    Global options may stand there.
    """
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in context.params
        and (source := context.get_parameter_source(parameter.name)) is not None
        and source.name == "COMMANDLINE"
    ]
    if given:
        called = f"{context.command_path} {context.invoked_subcommand}"
        does = "is an option" if len(given) == 1 else "are options"
        raise WrongUse(
            what=f"{', '.join(given)} {does} of {context.command_path} itself, and not of {called}.",
            hint=f"Leave it out, or see {called} --help.",
        )


def command(
    app: typer.Typer,
    name: str,
    *,
    examples: Sequence[str],
    exits: Sequence[ExitCode],
    meanings: Mapping[ExitCode, str] | None = None,
) -> Callable[[Function], Function]:
    """Register a command; its docstring is its help, and the examples and exit statuses stand at the end of it.

    `meanings` are the command's own words for a status whose usual words say something else.
    """
    return app.command(name, cls=ChatCommand, epilog=epilog(examples, exits, meanings or {}))


def epilog(examples: Sequence[str], exits: Sequence[ExitCode], own_meanings: Mapping[ExitCode, str]) -> str:
    """The end of a command's help."""
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
            "The global options (chatstore --help) are accepted here too.",
        ]
    )
