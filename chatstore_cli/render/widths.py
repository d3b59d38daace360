"""How wide text is in a terminal's cells, and how wide the columns of a table may be."""

from __future__ import annotations

from collections.abc import Sequence

from chatstore_cli.render.listing import Column

GAP = "  "
NARROWEST = 8
"""A column is not cut below this while others can be left out instead."""


def width_of(text: str) -> int:
    """The terminal cells that the text takes: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def padded(text: str, width: int, align: str) -> str:
    """The text filled up with spaces to the width."""
    space = " " * (width - width_of(text))
    return space + text if align == "right" else text + space


def natural_widths(lines: Sequence[Sequence[str]]) -> list[int]:
    """The width that each column needs to show every line whole."""
    return [max(width_of(cell) for cell in cells) for cells in zip(*lines, strict=True)]


def fitted(columns: Sequence[Column], widths: Sequence[int], available: int) -> dict[int, int]:
    """The positions of the columns that are shown, each with its width, so that all fit into `available` cells.

    The widest columns are cut first, all to one width. Where they would become narrower than NARROWEST, columns that
    can be spared are left out, the most dispensable first.
    """
    shown = dict(enumerate(widths))
    while True:
        room = available - len(GAP) * (len(shown) - 1)
        if sum(shown.values()) <= room:
            return shown
        spare = max((columns[place].spare for place in shown), default=0)
        cuttable = {place for place in shown if columns[place].align == "left" and not columns[place].whole}
        if not spare and not cuttable:
            cuttable = set(shown)  # nothing is left but to cut what should not be
        rest = room - sum(width for place, width in shown.items() if place not in cuttable)
        limit = _even_limit([shown[place] for place in cuttable], rest)
        if limit >= NARROWEST or not spare:
            return {place: min(width, max(limit, 1)) if place in cuttable else width for place, width in shown.items()}
        dispensable = next(place for place in reversed(shown) if columns[place].spare == spare)
        shown = {place: widths[place] for place in shown if place != dispensable}


def _even_limit(widths: Sequence[int], room: int) -> int:
    """The largest limit to which widths can be cut so that they sum up to at most the room."""
    left = room
    ascending = sorted(widths)
    for position, width in enumerate(ascending):
        share = left // (len(ascending) - position)
        if width > share:
            return share
        left -= width
    return max(ascending, default=0)
