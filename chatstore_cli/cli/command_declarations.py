"""How commands and groups of commands are declared. They accept the global options before and after the subcommand."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, ClassVar, TypeVar, cast

import typer
from typer.core import TyperCommand, TyperGroup

from chatstore_cli.cli.global_options import global_parameters
from chatstore_cli.cli.option_values import use_plain_converters
from chatstore_cli.domain.errors import EXIT_MEANINGS, ExitCode, WrongUse

Function = TypeVar("Function", bound=Callable[..., Any])


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


@contextmanager
def _own_words_in_errors(command: Any) -> Iterator[None]:
    try:
        yield
    except WrongUse as error:
        from chatstore_cli.cli.own_words import name_parameters

        name_parameters(error, [parameter for parameter in command.params if parameter.expose_value])
        raise


class ChatCommand(TyperCommand):
    """A command that also accepts the global options, and whose epilog keeps its line breaks."""

    def __init__(self, *arguments: Any, params: Sequence[Any] | None = None, **settings: Any) -> None:
        own = list(params or [])
        names = {parameter.name for parameter in own}  # a command may have its own meaning of --timeout
        shared = [parameter for parameter in global_parameters(hidden=True) if parameter.name not in names]
        super().__init__(*arguments, params=[*own, *shared], **settings)

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, including --help, with converters that do not need pydantic."""
        return _with_completions(_without_types(use_plain_converters(super().get_params(ctx))), ctx)

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Errors about a wrong value name the option or argument that has it."""
        with _own_words_in_errors(self):
            return super().invoke(ctx)

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
        own = [*(params or []), *global_parameters(hidden=self.hides_global_options)]
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

    def invoke(self, ctx: Any) -> Any:
        """Run the group's own command or a subcommand. Errors of the own one name its options and arguments."""
        with _own_words_in_errors(self) if ctx.invoked_subcommand is None else nullcontext():
            return super().invoke(ctx)

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
