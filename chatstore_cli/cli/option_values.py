"""Reads the values of options without pydantic.

Typer builds a pydantic adapter for every option of the command that runs, given or not. That is 0.14 s of every start
(FACTS A: import cost), and our options are text, numbers, flags and choices, which need none of it.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, get_args, get_origin

import typer


def read_plainly(parameters: list[Any]) -> list[Any]:
    """The parameters, each of a plain type with a reader of its own; others, and those of another Typer, as they are."""
    for parameter in parameters:
        descriptor = getattr(parameter, "type_descriptor", None)
        if descriptor is None or not hasattr(parameter, "_runtime_param"):
            continue
        annotation = descriptor.annotation
        kind = get_args(annotation)[0] if get_origin(annotation) is list else annotation
        if getattr(descriptor.parameter_info, "parser", None) is None and _is_plain(kind):
            parameter._runtime_param = _PlainValue(kind, descriptor.parameter_info)
    return parameters


class _PlainValue:
    """Stands where Typer keeps its adapter: `coerce` makes the value of what was typed."""

    def __init__(self, kind: type[Any], info: Any) -> None:
        self._kind = kind
        self._info = info

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        is_many = param.multiple or param.nargs == -1
        if value is None:
            return () if is_many else None
        try:
            return [self._one(item) for item in value] if is_many else self._one(value)
        except ValueError as error:
            raise typer.BadParameter(str(error), ctx=ctx, param=param) from error

    def _one(self, value: Any) -> Any:
        if isinstance(value, self._kind):
            return value
        if issubclass(self._kind, Enum):
            return _choice(self._kind, value)
        number = _READERS[self._kind](value)
        low, high = self._info.min, self._info.max
        if (low is not None and not number >= low) or (high is not None and not number <= high):
            raise ValueError(f"{value} is not {_range_in_words(low, high)}.")
        return number


def _choice(kind: type[Enum], value: Any) -> Enum:
    for choice in kind:
        if value in (choice, choice.value):
            return choice
    raise ValueError(f"{value!r} is not one of {', '.join(repr(choice.value) for choice in kind)}.")


def _range_in_words(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return f"at least {low}" if high is None else f"at most {high}"
    return f"in the range {low} to {high}"


def _is_plain(kind: Any) -> bool:
    return kind in _READERS or (isinstance(kind, type) and issubclass(kind, Enum))


def _whole_number(value: Any) -> int:
    try:
        return int(value)
    except ValueError:
        raise ValueError(f"{value!r} is not a whole number.") from None


def _number(value: Any) -> float:
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"{value!r} is not a number.") from None


def _truth(value: Any) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    try:
        return words[str(value).strip().lower()]
    except KeyError:
        raise ValueError(f"{value!r} is neither true nor false.") from None


_READERS: dict[Any, Callable[[Any], Any]] = {str: str, int: _whole_number, float: _number, bool: _truth}
