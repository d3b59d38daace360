"""The part of a text that is shown for a hit."""

from __future__ import annotations

BEFORE = 40
"""Characters before the first hit; few enough that a narrow terminal still shows the hit."""
LONGEST = 200


def snippet_of(text: str, start: int, end: int) -> tuple[str, int]:
    """The text around the hit from `start` to `end`, and the position in the text at which it begins.

    It begins and ends between words if there is a space nearby.
    """
    first = max(0, start - BEFORE)
    if first and (space := text.find(" ", first, start)) >= 0:
        first = space + 1
    last = min(len(text), first + LONGEST)
    if last < len(text) and (space := text.rfind(" ", min(end, last), last)) >= 0:
        last = space
    return text[first:last], first
