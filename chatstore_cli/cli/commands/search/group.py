"""The class of `chatstore search`, which takes a text or, as its first word, the name of a subcommand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import typer

from chatstore_cli.cli.command_declarations import ChatGroup, Function, epilog
from chatstore_cli.domain.errors import ExitCode, WrongUse


class SearchGroup(ChatGroup):
    """If the first argument is the name of a subcommand, it is called. Otherwise the argument is the text."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the options and the text, or leave everything to the subcommand."""
        if args and args[0] in self.lazy_commands:
            return super().parse_args(ctx, ["", *args])
        ctx.allow_interspersed_args = True
        return super().parse_args(ctx, args)

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters. For a subcommand, whose usage line names those of its parent too, without the text."""
        params: list[Any] = super().get_params(ctx)
        return params if ctx.command is self else [each for each in params if each.param_type_name != "argument"]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The subcommand. Raises WrongUse for a second word of a text without quotes.

        A shell that completes an option after the text gets the parameters of the search itself.
        """
        if ctx.resilient_parsing and args[0] not in self.lazy_commands:
            return None, None, []
        if args[0] not in self.lazy_commands:
            text = f"{ctx.params['text']} {' '.join(args)}"
            raise WrongUse(what="The text has several words.", hint=f'Put it in quotes: chatstore search "{text}"')
        return super().resolve_command(ctx, args)


def search_command(
    lazy_commands: Mapping[str, str], *, examples: Sequence[str], exits: Sequence[ExitCode]
) -> tuple[typer.Typer, Callable[[Function], Function]]:
    """A Typer for `search` with its subcommands, and the decorator of the function that searches."""
    group_class = type("LazySearchGroup", (SearchGroup,), {"lazy_commands": lazy_commands})
    app = typer.Typer(cls=group_class, name="search", add_completion=False, rich_markup_mode=None)
    return app, app.callback(
        cls=group_class, invoke_without_command=True, subcommand_metavar="", epilog=epilog(examples, exits, {})
    )
