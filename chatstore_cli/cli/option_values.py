"""Converts the values of options without pydantic.

Typer builds a pydantic adapter for every option of the command that runs. That costs 0.14 s of every start, and options
that are text, numbers, flags and choices do not need it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, get_args, get_origin

import typer

from chatstore_cli.render.output_format import ROW_FORMATS, OutputFormat


def use_plain_converters(parameters: list[Any]) -> list[Any]:
    """The same parameters, where those of plain types convert their values without pydantic.

    Typer keeps its adapter in a private attribute. If a version of Typer does not have it, nothing changes.
    """
    for parameter in parameters:
        descriptor = getattr(parameter, "type_descriptor", None)
        if descriptor is None or not hasattr(parameter, "_runtime_param"):
            continue
        annotation = descriptor.annotation
        kind = get_args(annotation)[0] if get_origin(annotation) is list else annotation
        if getattr(descriptor.parameter_info, "parser", None) is None and _is_plain(kind):
            parameter._runtime_param = _PlainConverter(kind, descriptor.parameter_info)
    return parameters


class _PlainConverter:
    """Replaces Typer's adapter: `coerce` converts the text of an option or argument."""

    def __init__(self, kind: type[Any], info: Any) -> None:
        self._kind = kind
        self._info = info

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        is_many = param.multiple or param.nargs == -1
        if value is None:
            return () if is_many else None
        try:
            return [self._convert(item, param, ctx) for item in value] if is_many else self._convert(value, param, ctx)
        except ValueError as error:
            raise typer.BadParameter(str(error), ctx=ctx, param=param) from error

    def _convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if isinstance(value, self._kind):
            return value
        if issubclass(self._kind, Enum):
            return _choice(self._kind, value, param, ctx)
        convert, expected = _CONVERTERS[self._kind]
        try:
            number = convert(value)
        except (ValueError, KeyError):
            raise ValueError(f"{value!r} is not {expected}.") from None
        low, high = self._info.min, self._info.max
        if (low is not None and not number >= low) or (high is not None and not number <= high):
            raise ValueError(f"{value} is not {_range_in_words(low, high)}.")
        return number


def _choice(kind: type[Enum], value: Any, param: Any, ctx: Any) -> Enum:
    for choice in kind:
        if value in (choice, choice.value):
            return choice
    from chatstore_cli.core.choices import not_one_of

    known: Sequence[Enum] = list(kind)
    if kind is OutputFormat and not _may_print_html(ctx.command):
        known = ROW_FORMATS
    error = not_one_of(max(param.opts, key=len), str(value), [choice.value for choice in known])
    flag = f"--{value}"  # such as --paused instead of --status paused
    if any(flag in other.opts and other.is_flag for other in ctx.command.params):
        error.hint = f"Use the option {flag}."
    raise error


def _may_print_html(command: Any) -> bool:
    """Whether HTML may be printed: by a command with --full, or by the command of a group that is named after the option.

    A group that is a command itself, such as usage, has no command that prints HTML.
    """
    is_group = hasattr(command, "commands") and not command.invoke_without_command
    return is_group or any("--full" in parameter.opts for parameter in command.params)


def _range_in_words(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return f"at least {low}" if high is None else f"at most {high}"
    return f"in the range {low} to {high}"


def _is_plain(kind: Any) -> bool:
    return kind in _CONVERTERS or (isinstance(kind, type) and issubclass(kind, Enum))


_TRUTHS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
_CONVERTERS: dict[Any, tuple[Callable[[Any], Any], str]] = {
    str: (str, "text"),
    int: (int, "a whole number"),
    float: (float, "a number"),
    bool: (lambda value: _TRUTHS[str(value).strip().lower()], "true or false"),
}
