"""A table that is written while its rows come, before the widths of later cells are known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TextIO

from chatstore_cli.render.listing import Column, Row, Terminal
from chatstore_cli.render.safe import sanitize_line
from chatstore_cli.render.widths import GAP, fitted, left_out, natural_widths, padded, width_of

_COLORS = {"cyan": "36", "green": "32", "red": "31", "yellow": "33"}
_INDENT = "    "
_INITIAL_WIDTH = 8
"""Terminal cells that a left-aligned column has at least."""


def write_live_table(
    columns: Sequence[Column], rows: Iterable[Row], stream: TextIO, terminal: Terminal
) -> tuple[int, tuple[str, ...]]:
    """Write each row as it comes, below one heading.

    Returns the number of rows, and the titles of the columns that the terminal is too narrow for.

    In a pipe no cell is cut: a column grows with its cells. On a terminal the first row determines the columns and
    their widths, and only `whole` cells exceed them.
    """
    below = [column for column in columns if column.pieces is not None and terminal.is_terminal]
    columns = [column for column in columns if column not in below]
    titles = [column.title for column in columns]
    widths: dict[int, int] = {}
    written = 0
    for row in rows:
        cells = [sanitize_line(column.cell(row)) for column in columns]
        if not written:
            widths = _first_widths(columns, [titles, cells], terminal)
            stream.write(_line(columns, titles, widths, terminal) + "\n")
        if not terminal.is_terminal:
            widths = {position: max(width, width_of(cells[position])) for position, width in widths.items()}
        stream.write(_line(columns, cells, widths, terminal, row) + "\n")
        stream.writelines(f"{_INDENT}{_marked(column, row, terminal)}\n" for column in below)
        written += 1
    return written, left_out(columns, widths) if written else ()


def _first_widths(columns: Sequence[Column], lines: list[list[str]], terminal: Terminal) -> dict[int, int]:
    initial = ["" if column.align == "right" else " " * _INITIAL_WIDTH for column in columns]
    natural = natural_widths([*lines, initial])
    if not terminal.is_terminal:
        return dict(enumerate(natural))
    widths = fitted(columns, natural, terminal.width)
    last = max(widths)
    widths[last] += max(0, terminal.width - sum(widths.values()) - len(GAP) * (len(widths) - 1))
    return widths


def _line(
    columns: Sequence[Column], cells: Sequence[str], widths: dict[int, int], terminal: Terminal, row: Row | None = None
) -> str:
    parts = []
    for position, width in widths.items():
        column = columns[position]
        text = cells[position]
        if terminal.is_terminal and not column.whole:
            text = _cut(text, width)
        text = padded(text, 0 if position == max(widths) and column.align == "left" else width, column.align)
        style = column.style(column.value(row)) if column.style is not None and row is not None else ""
        colored = terminal.color and style in _COLORS
        parts.append(f"\x1b[{_COLORS[style]}m{text}\x1b[0m" if colored else text)
    return GAP.join(parts).rstrip()


def _marked(column: Column, row: Row, terminal: Terminal) -> str:
    """The pieces of a cell, as far as one line of the terminal has room for them."""
    assert column.pieces is not None
    room = terminal.width - len(_INDENT)
    shown = []
    for text, is_marked in column.pieces(row):
        safe = sanitize_line(text if terminal.color or not is_marked else f">>{text}<<")
        cut = _cut(safe, room)
        shown.append(f"\x1b[1;33m{cut}\x1b[0m" if is_marked and terminal.color else cut)
        room -= width_of(cut)
        if cut != safe or room < 1:
            break
    return "".join(shown)


def _cut(text: str, width: int) -> str:
    if width_of(text) <= width:
        return text
    while text and width_of(text) > width - 1:
        text = text[: min(len(text) - 1, width)]
    return text + "…"
