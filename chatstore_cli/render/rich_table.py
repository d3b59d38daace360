"""A table on a terminal: the columns of a table in a pipe, cut to the width, with colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from chatstore_cli.render.listing import Column, Row, Terminal
from chatstore_cli.render.safe import sanitize_line
from chatstore_cli.render.widths import GAP, fitted, left_out, natural_widths


def write_rich_table(
    columns: Sequence[Column], rows: Sequence[Row], footer: Row | None, stream: TextIO, terminal: Terminal
) -> tuple[str, ...]:
    """Write the rows, and return the titles of the columns that the terminal is too narrow for.

    Cells are Text objects, so that markup in stored text has no effect.

    If the stream is not a terminal (colours in a pipe), nothing is cut.
    """
    lines = [*rows, footer] if footer is not None else rows
    cells = [[sanitize_line(column.cell(row)) for column in columns] for row in lines]
    natural = natural_widths([[column.title for column in columns], *cells])
    whole = sum(natural) + len(GAP) * (len(columns) - 1)
    widths = fitted(columns, natural, terminal.width if terminal.is_terminal else whole)
    table = Table(box=None, pad_edge=False, padding=(0, len(GAP), 0, 0), header_style="bold")
    for position, width in widths.items():
        column = columns[position]
        overflow: Literal["fold", "ellipsis"] = "fold" if column.wraps else "ellipsis"
        title = Text(column.title)
        table.add_column(title, justify=column.align, no_wrap=not column.wraps, overflow=overflow, width=width)
    for row, texts in zip(lines, cells, strict=True):
        style = "bold" if row is footer else ""
        table.add_row(*(_cell(columns[position], row, texts[position]) for position in widths), style=style)
    _console(stream, terminal, max(terminal.width, whole)).print(table, crop=False, soft_wrap=False)
    return left_out(columns, widths)


def _console(stream: TextIO, terminal: Terminal, width: int) -> Console:
    return Console(
        file=stream,
        width=terminal.width if terminal.is_terminal else width,
        force_terminal=True,
        no_color=not terminal.color,
        color_system="standard" if terminal.color else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )


def _cell(column: Column, row: Row, text: str) -> Text:
    return Text(text, style=column.style(column.value(row)) if column.style else "")
