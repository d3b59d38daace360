"""Numbers and lists of things in texts."""

from __future__ import annotations

from collections.abc import Sequence


def quantity(number: int, noun: str) -> str:
    """A number with its noun: 1 line, 2,000 lines."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def alternatives(names: Sequence[str]) -> str:
    """Names as a choice: `a`, `a or b`, `a, b or c`."""
    return " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
