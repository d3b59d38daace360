"""The width of text in terminal cells, and the widths of a table's columns."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence

from chatstore_cli.render.listing import Column

GAP = "  "
_LEAST = 4
"""Terminal cells of a text column on a very narrow terminal, before numbers are cut."""


def width_of(text: str) -> int:
    """The number of terminal cells of the text: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def padded(text: str, width: int, align: str) -> str:
    """The text padded with spaces to the width."""
    space = " " * (width - width_of(text))
    return space + text if align == "right" else text + space


def natural_widths(lines: Sequence[Sequence[str]]) -> list[int]:
    """The width that each column needs for its longest cell."""
    return [max(width_of(cell) for cell in cells) for cells in zip(*lines, strict=True)]


def fitted(columns: Sequence[Column], widths: Sequence[int], available: int) -> dict[int, int]:
    """The columns to show, by position, with widths that fit into `available` cells.

    The widest columns are cut first, all to the same width. Before a column gets narrower than its `narrowest` width,
    columns with a `spare` are left out, the highest first.
    """
    selected = dict(enumerate(widths))
    while True:
        room = available - len(GAP) * (len(selected) - 1)
        if sum(selected.values()) <= room:
            return selected
        spare = max((columns[position].spare for position in selected), default=0)
        cuttable = {
            position: min(width, columns[position].narrowest)
            for position, width in selected.items()
            if columns[position].align == "left" and not columns[position].whole
        }
        for least in [cuttable] if spare else _last_resorts(columns, selected, cuttable):
            remaining = room - sum(width for position, width in selected.items() if position not in least)
            if sum(least.values()) <= remaining:
                return selected | _cut({position: selected[position] for position in least}, least, remaining)
        if not spare:
            return dict.fromkeys(selected, 1)
        left_out = next(position for position in reversed(selected) if columns[position].spare == spare)
        del selected[left_out]


def _last_resorts(
    columns: Sequence[Column], selected: Mapping[int, int], cuttable: Mapping[int, int]
) -> Iterator[Mapping[int, int]]:
    """The columns to cut, with their least widths, if no column can be left out: each time more, in the end all."""
    yield cuttable
    yield {position: min(width, _LEAST) for position, width in selected.items() if columns[position].align == "left"}
    yield dict.fromkeys(selected, 1)


def left_out(columns: Sequence[Column], shown: Container[int]) -> tuple[str, ...]:
    """The titles of the columns whose positions are not among those that are shown."""
    return tuple(column.title for position, column in enumerate(columns) if position not in shown)


def _cut(widths: Mapping[int, int], least: Mapping[int, int], room: int) -> dict[int, int]:
    """The widths cut to the largest common limit that fits into `room`, but none below its least width."""
    for limit in range(max(room, 1), 0, -1):
        cut = {position: max(min(width, limit), least[position]) for position, width in widths.items()}
        if sum(cut.values()) <= room:
            return cut
    return dict(least)
