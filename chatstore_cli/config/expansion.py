"""`${VAR}` in texts of configuration files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ExpansionError(ValueError):
    """The reason why a text with `${` cannot be expanded."""


def expand(text: str, variables: Mapping[str, str]) -> tuple[str, list[str]]:
    """The text with its variables replaced, and the names of the variables that were used. Raises ExpansionError.

    As in a POSIX shell: `${VAR}`, `${VAR:-default}` (an empty variable counts as unset), `${VAR-default}` (it does not).
    A default may have variables, which are read only if the default is needed. The value of a variable is not expanded
    again. Unlike in a shell, `$` without a brace is a dollar sign, which passwords may have, and `$${` is a literal `${`.
    """
    used: list[str] = []
    expanded, _ = _expand(text, 0, variables, used, nested=False)
    return expanded, used


def _expand(text: str, index: int, variables: Mapping[str, str], used: list[str], *, nested: bool) -> tuple[str, int]:
    """The expanded text from `index` on, and the index after it: of the closing brace if it is `nested`."""
    pieces = []
    while index < len(text):
        if text.startswith("$${", index):
            pieces.append("${")
            index += 3
        elif text.startswith("${", index):
            piece, index = _expand_variable(text, index + 2, variables, used)
            pieces.append(piece)
        elif nested and text[index] == "}":
            return "".join(pieces), index
        else:
            pieces.append(text[index])
            index += 1
    if nested:
        raise ExpansionError("a ${ has no closing }")
    return "".join(pieces), index


def _expand_variable(text: str, index: int, variables: Mapping[str, str], used: list[str]) -> tuple[str, int]:
    match = _VARIABLE.match(text, index)
    if match is None:
        raise ExpansionError("${ is not followed by the name of a variable (write a literal ${ as $${)")
    name, index = match[0], match.end()
    value = variables.get(name)
    operator = next((sign for sign in (":-", "-") if text.startswith(sign, index)), "")
    if not operator:
        if not text.startswith("}", index):
            raise ExpansionError(f"${{{name} is not followed by }} or :-default}}")
        if value is None:
            raise ExpansionError(f"the variable {name} is not set and has no default (${{{name}:-default}})")
        used.append(name)
        return value, index + 1
    if value is None or (operator == ":-" and not value):
        default, index = _expand(text, index + len(operator), variables, used, nested=True)
        return default, index + 1
    used.append(name)
    _, index = _expand(text, index + len(operator), _EveryVariableSet(), [], nested=True)
    return value, index + 1


class _EveryVariableSet(dict[str, str]):
    """Has a value for every variable, so that the end of an unused default can be found."""

    def get(self, key: str, default: Any = None) -> Any:
        return ""
