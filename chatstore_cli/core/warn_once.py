"""Gives each warning once."""

from __future__ import annotations

from collections.abc import Callable

_MAX_WARNINGS = 1_000


class WarnOnce:
    """Passes each text to `warn` once, and at most 1,000 texts."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._warned: set[str] = set()

    def __call__(self, text: str) -> None:
        """Warn, unless this text was given before."""
        if text not in self._warned and len(self._warned) < _MAX_WARNINGS:
            self._warned.add(text)
            self._warn(text)
