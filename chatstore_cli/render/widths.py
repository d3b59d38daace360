"""How wide text is in a terminal's cells, and how wide the columns of a table may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chatstore_cli.render.listing import Column

GAP = "  "


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

    The widest columns are cut first, all to one width. Where one would become narrower than its `narrowest`, columns
    that can be spared are left out, the most dispensable first.
    """
    shown = dict(enumerate(widths))
    while True:
        room = available - len(GAP) * (len(shown) - 1)
        if sum(shown.values()) <= room:
            return shown
        spare = max((columns[place].spare for place in shown), default=0)
        cuttable = {
            place: min(width, columns[place].narrowest)
            for place, width in shown.items()
            if columns[place].align == "left" and not columns[place].whole
        }
        if not spare:
            # Nothing is left but to cut below that; and, where it must be, what should not be cut at all.
            cuttable = dict.fromkeys(cuttable or shown, 1)
        rest = room - sum(width for place, width in shown.items() if place not in cuttable)
        if sum(cuttable.values()) <= rest or not spare:
            return shown | _cut({place: shown[place] for place in cuttable}, cuttable, rest)
        dispensable = next(place for place in reversed(shown) if columns[place].spare == spare)
        del shown[dispensable]


def _cut(widths: Mapping[int, int], least: Mapping[int, int], room: int) -> dict[int, int]:
    """The widths cut to one limit, the largest with which they fit into the room, but none below its least."""
    for limit in range(max(room, 1), 0, -1):
        cut = {place: max(min(width, limit), least[place]) for place, width in widths.items()}
        if sum(cut.values()) <= room:
            return cut
    return dict(least)
