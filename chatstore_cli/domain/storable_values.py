"""Values of events and journal lines as values that can be stored, whatever an application put into them.

A message must not be lost because of one number in it: a value that cannot be stored becomes text, and that is reported.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from chatstore_cli.domain.content import as_text, json_safe, json_text

NUMBER_KEPT_AS_TEXT = "a number beyond 64 bits, kept as text"
_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**63 - 1
_MAX_LEVELS = 150
"""The server rejects documents with about 200 levels."""


class Alterations:
    """The kinds of changes that were needed to store a value, each kind once."""

    def __init__(self) -> None:
        self._kinds: dict[str, None] = {}

    def add(self, kind: str) -> None:
        """Note a kind of change."""
        self._kinds[kind] = None

    def kinds(self) -> tuple[str, ...]:
        """The kinds, in the order in which they occurred."""
        return tuple(self._kinds)


def storable_value(value: Any, alterations: Alterations, level: int = 1) -> Any:
    """The value, or a replacement that can be stored. Never raises."""
    kind = value.__class__
    if kind is str:
        return value if value.isascii() else _text(value, alterations)
    if value is None or kind is bool:
        return value
    if isinstance(value, bool):
        return bool(value)
    if isinstance(value, int):
        if _MIN_INTEGER <= value <= _MAX_INTEGER:
            return int(value)
        alterations.add(NUMBER_KEPT_AS_TEXT)
        return _digits(int(value))
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        alterations.add("a number that is not finite, kept as text")
        return str(float(value))
    if isinstance(value, str):
        return _text(str.__str__(value), alterations)
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        if level > _MAX_LEVELS:
            alterations.add(f"something nested deeper than {_MAX_LEVELS} levels, kept as JSON text")
            return _as_json(value)
        if isinstance(value, Mapping):
            return {_key(key, alterations): storable_value(item, alterations, level + 1) for key, item in value.items()}
        return [storable_value(item, alterations, level + 1) for item in value]
    return _text(as_text(value), alterations)


def _text(text: str, alterations: Alterations) -> str:
    kept: str = json_safe(text)
    if kept != text:
        alterations.add("characters that cannot be stored, replaced")
    return kept


def _key(key: object, alterations: Alterations) -> str:
    text = _text(key if isinstance(key, str) else as_text(key), alterations)
    if "\0" in text:
        alterations.add("NUL in a key, replaced")
        return text.replace("\0", "\ufffd")
    return text


def _digits(number: int) -> str:
    try:
        return str(number)
    except ValueError:  # Python writes no more than 4,300 digits
        return hex(number)


def _as_json(value: Any) -> str:
    try:
        return json_text(value)
    except (RecursionError, ValueError):
        return "(nested too deep to be kept)"
