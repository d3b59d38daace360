"""A table on a terminal: the same columns as in a pipe, cut to the width and coloured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from chatstore_cli.render.listing import Column, Row, Terminal
from chatstore_cli.render.safe import one_line


def write_rich_table(columns: Sequence[Column], rows: Sequence[Row], stream: TextIO, terminal: Terminal) -> int:
    """Write the rows; cells are Text, so that stored markup is never obeyed."""
    if not rows:
        return 0
    console = Console(
        file=stream,
        width=terminal.width,
        force_terminal=True,
        no_color=not terminal.color,
        color_system="standard" if terminal.color else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(Text(column.title), justify=column.align, no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(_cell(column, row) for column in columns))
    console.print(table)
    return len(rows)


def _cell(column: Column, row: Row) -> Text:
    style = column.style(column.value(row)) if column.style else ""
    return Text(one_line(column.cell(row)), style=style)
