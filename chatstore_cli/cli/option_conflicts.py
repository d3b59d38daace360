"""Options that exclude or need each other: errors that name them."""

from __future__ import annotations

import typer

from chatstore_cli.domain.errors import WrongUse


def is_given(context: typer.Context, parameter: str) -> bool:
    """Whether the parameter of this name is on the command line, and not only its default."""
    source = context.get_parameter_source(parameter)
    return source is not None and source.name == "COMMANDLINE"


def _given_options(context: typer.Context) -> list[str]:
    """The options of a command on this command line, without the global ones."""
    return [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in context.params and is_given(context, parameter.name)
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
