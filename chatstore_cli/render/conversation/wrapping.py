"""Wraps text to a width in terminal cells: wide characters, emoji of several characters, and words of any length."""

from __future__ import annotations

import re
from collections.abc import Iterator

from chatstore_cli.render.widths import width_of

_WORDS = re.compile(r" +|[^ ]+")
_TAB = 4


def wrapped(text: str, width: int | None) -> Iterator[str]:
    """The lines of a sanitized text, none wider than the width; None is no limit. A break replaces the spaces there."""
    for line in text.split("\n"):
        line = line.expandtabs(_TAB)
        if width is None or (len(line) * 2 <= width) or width_of(line) <= width:
            yield line
        else:
            yield from _wrapped_line(line, width)


def _wrapped_line(line: str, width: int) -> Iterator[str]:
    from rich.cells import chop_cells

    pieces: list[str] = []
    used = 0
    for match in _WORDS.finditer(line):
        word = match[0]
        cells = width_of(word)
        if used + cells <= width:
            pieces.append(word)
            used += cells
            continue
        if word[0] == " " and pieces:
            yield "".join(pieces)
            pieces, used = [], 0
            continue
        if any(piece[0] != " " for piece in pieces):
            yield "".join(pieces).rstrip(" ")
        *whole, rest = chop_cells(word, width) if cells > width else [word]
        yield from whole
        pieces, used = [rest], width_of(rest)
    if pieces:
        yield "".join(pieces)


def cut(text: str, width: int) -> str:
    """The text in at most this many cells; if it is longer, it ends with an ellipsis."""
    from rich.cells import chop_cells

    start = text[: width * 8 + 8]  # a character of one cell may have some combining marks
    if len(start) == len(text) and width_of(text) <= width:
        return text
    return next(iter(chop_cells(start, max(1, width - 1))), "") + "\u2026"
