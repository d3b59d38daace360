"""`${VAR}` in texts of configuration files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MAX_LENGTH = 100_000
"""Characters of an expanded text."""

_MAX_DEPTH = 20
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ExpansionError(ValueError):
    """The reason why a text with `${` cannot be expanded."""


def expand(text: str, variables: Mapping[str, str]) -> tuple[str, list[str]]:
    """The text with its variables replaced, and the names of the variables that were used. Raises ExpansionError.

    As in a POSIX shell: `${VAR}`, `${VAR:-default}` (an empty variable counts as unset), `${VAR-default}` (it does not).
    A default may have variables, which are read only if the default is needed. The value of a variable is not expanded
    again. Unlike in a shell, `$` without a brace is a dollar sign, which passwords may have, and `$${` is a literal `${`.
    """
    expander = _Expander(text, variables)
    return expander.expanded(), expander.used


class UnsetVariableError(ExpansionError):
    """A variable is not set and has no default."""


class _Expander:
    """Reads one text from left to right, with the number of characters that variables have added so far."""

    def __init__(self, text: str, variables: Mapping[str, str]) -> None:
        self._text = text
        self._variables = variables
        self._added = 0
        self.used: list[str] = []

    def expanded(self) -> str:
        """The whole expanded text."""
        return self._until_end(0, self._variables, depth=0)[0]

    def _until_end(self, index: int, variables: Mapping[str, str], depth: int) -> tuple[str, int]:
        """The expanded text from `index` on, and the index after it: of the closing brace if it is in a default."""
        text = self._text
        if depth > _MAX_DEPTH:
            raise ExpansionError(f"more than {_MAX_DEPTH} defaults (${{A:-${{B:-…}}}}) are inside each other")
        pieces = []
        while index < len(text):
            if text.startswith("$${", index):
                pieces.append("${")
                index += 3
            elif text.startswith("${", index):
                piece, index = self._variable(index + 2, variables, depth)
                pieces.append(piece)
            elif depth and text[index] == "}":
                return "".join(pieces), index
            else:
                pieces.append(text[index])
                index += 1
        if depth:
            raise ExpansionError("a ${ has no closing }")
        return "".join(pieces), index

    def _variable(self, index: int, variables: Mapping[str, str], depth: int) -> tuple[str, int]:
        """The value of the variable whose name begins at `index`, or its default, and the index after its brace."""
        match = _VARIABLE.match(self._text, index)
        if match is None:
            raise ExpansionError("${ is not followed by the name of a variable (write a literal ${ as $${)")
        name, index = match[0], match.end()
        value = variables.get(name)
        operator = next((sign for sign in (":-", "-") if self._text.startswith(sign, index)), "")
        if not operator:
            if not self._text.startswith("}", index):
                raise ExpansionError(f"${{{name} is not followed by }} or :-default}}")
            if value is None:
                raise UnsetVariableError(f"the variable {name} is not set and has no default (${{{name}:-default}})")
            return self._use(name, value, variables), index + 1
        if value is None or (operator == ":-" and not value):
            default, index = self._until_end(index + len(operator), variables, depth + 1)
            return default, index + 1
        _, index = self._until_end(index + len(operator), _EveryVariableSet(), depth + 1)
        return self._use(name, value, variables), index + 1

    def _use(self, name: str, value: str, variables: Mapping[str, str]) -> str:
        if variables is self._variables:
            self.used.append(name)
            self._added += len(value)
            if self._added > MAX_LENGTH:
                raise ExpansionError(f"its variables have more than {MAX_LENGTH:,} characters")
        return value


class _EveryVariableSet(dict[str, str]):
    """Has a value for every variable, so that the end of an unused default can be found."""

    def get(self, key: str, default: Any = None) -> Any:
        return ""
