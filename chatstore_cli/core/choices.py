"""The error for a value that is not one of a list: it names all of them, and those that may have been meant."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from chatstore_cli.core.similar import did_you_mean
from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.message import ROLES
from chatstore_cli.domain.quantities import alternatives

_LONGEST_SHOWN = 100
_UNREADABLE_ROLE = "unknown"
"""The role of messages whose stored role cannot be read."""


def not_one_of(name: str, value: str, known: Iterable[str], *, expected: str | None = None) -> BadValue:
    """The error that the value of an option or parameter is not one of the known ones.

    `expected` describes the values, if the known ones do not describe all of them.
    """
    words = [str(word) for word in known]  # the words of an enumeration are shown as text
    shown = value[:_LONGEST_SHOWN]
    hint = did_you_mean(value, words)
    return BadValue(name=name, value=shown, expected=expected or alternatives(words), hint=hint)


def require_one_of(name: str, value: str, known: Collection[str]) -> None:
    """Raise BadValue if the value is not one of the known ones."""
    if value not in known:
        raise not_one_of(name, value, known)


def require_known_role(role: str | None) -> None:
    """Raise BadValue for a role that messages do not have.

    Call it after an empty result: another program may have stored a role of its own.
    """
    if role not in (None, _UNREADABLE_ROLE, *ROLES):
        raise not_one_of("--role", str(role), sorted(ROLES))
