"""Values out of events as values that can be stored, whatever an application put into them.

An event that tells what was said must not be lost over one number in it: what cannot be stored as it is becomes text,
and that is told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from chatstore_cli.domain.content import as_text, json_safe, json_text

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_DEEPEST = 150
"""Levels: the server's documents stop near 200 (FACTS A)."""


class Oddities:
    """What had to be changed, each kind once."""

    def __init__(self) -> None:
        self._kinds: dict[str, None] = {}

    def add(self, kind: str) -> None:
        """Note a kind of change."""
        self._kinds[kind] = None

    def found(self) -> tuple[str, ...]:
        """The kinds, in the order in which they were met."""
        return tuple(self._kinds)


def storable_value(value: Any, odd: Oddities, level: int = 1) -> Any:
    """The value, or what stands for it: never raises."""
    kind = value.__class__
    if kind is str:
        return value if value.isascii() else _text(value, odd)
    if value is None or kind is bool:
        return value
    if isinstance(value, bool):
        return bool(value)
    if isinstance(value, int):
        if _SMALLEST <= value <= _LARGEST:
            return int(value)
        odd.add("a number beyond 64 bits, kept as text")
        return _digits(int(value))
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        odd.add("a number that is none, kept as text")
        return str(float(value))
    if isinstance(value, str):
        return _text(str.__str__(value), odd)
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        if level > _DEEPEST:
            odd.add(f"something nested deeper than {_DEEPEST} levels, kept as JSON text")
            return _as_json(value)
        if isinstance(value, Mapping):
            return {_key(key, odd): storable_value(item, odd, level + 1) for key, item in value.items()}
        return [storable_value(item, odd, level + 1) for item in value]
    return _text(as_text(value), odd)


def _text(text: str, odd: Oddities) -> str:
    kept: str = json_safe(text)
    if kept != text:
        odd.add("characters that no text can hold, replaced")
    return kept


def _key(key: object, odd: Oddities) -> str:
    text = _text(key if isinstance(key, str) else as_text(key), odd)
    if "\0" in text:
        odd.add("NUL in a key, replaced")
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
