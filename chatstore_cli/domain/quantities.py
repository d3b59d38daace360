"""Numbers of things in texts."""

from __future__ import annotations


def quantity(number: int, noun: str) -> str:
    """A number with its noun: 1 line, 2,000 lines."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
