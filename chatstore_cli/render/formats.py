"""The output formats, as a table of writers: each takes a listing or a record and writes text lines."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TextIO

import orjson

from chatstore_cli.render.listing import Column, Listing, OutputFormat, Record, Terminal, plain
from chatstore_cli.render.safe import csv_cell, one_line

_GAP = "  "


def write(shown: Listing | Record, output: OutputFormat, stream: TextIO, terminal: Terminal) -> int:
    """Write it in the format, and give the number of rows written."""
    if isinstance(shown, Record):
        _RECORD_WRITERS[output](shown, stream, terminal)
        return 1
    return _LISTING_WRITERS[output](shown, stream, terminal)


def as_json(value: Any, *, indented: bool = True) -> str:
    """JSON text; keys are written in the order given, and what JSON has no type for as text."""
    option = orjson.OPT_INDENT_2 if indented else 0
    return orjson.dumps(value, default=str, option=option | orjson.OPT_NON_STR_KEYS).decode()


def _json_listing(listing: Listing, stream: TextIO, _terminal: Terminal) -> int:
    rows = list(listing.rows)
    stream.write(as_json({"items": rows, "next_cursor": listing.next_cursor}) + "\n")
    return len(rows)


def _jsonl_listing(listing: Listing, stream: TextIO, _terminal: Terminal) -> int:
    written = 0
    for row in listing.rows:
        stream.write(as_json(row, indented=False) + "\n")
        written += 1
    return written


def _csv_listing(listing: Listing, stream: TextIO, _terminal: Terminal) -> int:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(column.key for column in listing.columns)
    written = 0
    for row in listing.rows:
        writer.writerow(csv_cell(plain(column.value(row))) for column in listing.columns)
        written += 1
    return written


def _markdown_listing(listing: Listing, stream: TextIO, _terminal: Terminal) -> int:
    columns = [column for column in listing.columns if column.in_table]
    stream.write("| " + " | ".join(_markdown_cell(column.title) for column in columns) + " |\n")
    stream.write("| " + " | ".join("---:" if column.align == "right" else "---" for column in columns) + " |\n")
    written = 0
    for row in listing.rows:
        stream.write("| " + " | ".join(_markdown_cell(column.cell(row)) for column in columns) + " |\n")
        written += 1
    return written


def _markdown_cell(text: str) -> str:
    safe = one_line(text).replace("\\", "\\\\")
    for sign, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        safe = safe.replace(sign, escaped)
    for sign in "|`*_[]":
        safe = safe.replace(sign, "\\" + sign)
    return safe


def _table_listing(listing: Listing, stream: TextIO, terminal: Terminal) -> int:
    columns = [column for column in listing.columns if column.in_table]
    if terminal.is_terminal:
        from chatstore_cli.render.rich_table import write_rich_table

        return write_rich_table(columns, list(listing.rows), stream, terminal)
    cells = [[one_line(column.cell(row)) for column in columns] for row in listing.rows]
    if cells:
        stream.writelines(_aligned(columns, [[column.title for column in columns], *cells]))
    return len(cells)


def _aligned(columns: Sequence[Column], lines: list[list[str]]) -> Iterator[str]:
    widths = [max(_width(line[position]) for line in lines) for position in range(len(columns))]
    for line in lines:
        padded = (_pad(cell, width, column.align) for column, cell, width in zip(columns, line, widths, strict=True))
        yield _GAP.join(padded).rstrip() + "\n"


def _pad(cell: str, width: int, align: str) -> str:
    space = " " * (width - _width(cell))
    return space + cell if align == "right" else cell + space


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _json_record(record: Record, stream: TextIO, _terminal: Terminal) -> None:
    stream.write(as_json(record.row) + "\n")


def _jsonl_record(record: Record, stream: TextIO, _terminal: Terminal) -> None:
    stream.write(as_json(record.row, indented=False) + "\n")


def _csv_record(record: Record, stream: TextIO, terminal: Terminal) -> None:
    _csv_listing(Listing(record.columns, [record.row]), stream, terminal)


def _markdown_record(record: Record, stream: TextIO, _terminal: Terminal) -> None:
    stream.write("| | |\n| --- | --- |\n")
    for title, cell in _fields(record):
        stream.write(f"| {_markdown_cell(title)} | {_markdown_cell(cell)} |\n")


def _table_record(record: Record, stream: TextIO, terminal: Terminal) -> None:
    fields = list(_fields(record))
    width = max((_width(title) for title, _ in fields), default=0)
    bold, plain_again = ("\x1b[1m", "\x1b[0m") if terminal.color else ("", "")
    for title, cell in fields:
        stream.write(f"{bold}{_pad(title, width, 'left')}{plain_again}{_GAP}{one_line(cell)}".rstrip() + "\n")


def _fields(record: Record) -> Iterable[tuple[str, str]]:
    return ((column.title, column.cell(record.row)) for column in record.columns if column.in_table)


_LISTING_WRITERS: dict[OutputFormat, Callable[[Listing, TextIO, Terminal], int]] = {
    OutputFormat.TABLE: _table_listing,
    OutputFormat.JSON: _json_listing,
    OutputFormat.JSONL: _jsonl_listing,
    OutputFormat.CSV: _csv_listing,
    OutputFormat.MD: _markdown_listing,
}
_RECORD_WRITERS: dict[OutputFormat, Callable[[Record, TextIO, Terminal], None]] = {
    OutputFormat.TABLE: _table_record,
    OutputFormat.JSON: _json_record,
    OutputFormat.JSONL: _jsonl_record,
    OutputFormat.CSV: _csv_record,
    OutputFormat.MD: _markdown_record,
}
