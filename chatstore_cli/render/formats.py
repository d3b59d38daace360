"""The output formats: for each a writer of listings and a writer of records."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from io import TextIOWrapper
from itertools import chain, islice
from typing import NamedTuple, TextIO

from chatstore_cli.render.json_text import as_json
from chatstore_cli.render.listing import Column, Listing, Record, Row, Terminal, plain
from chatstore_cli.render.output_format import OutputFormat
from chatstore_cli.render.safe import sanitize_csv_cell, sanitize_id, sanitize_line, shell_word
from chatstore_cli.render.widths import GAP, natural_widths, padded, width_of

_QUOTED = re.compile('[",;\t\n\r]|^ | $')
_BOLD, _RESET = "\x1b[1m", "\x1b[0m"


class Written(NamedTuple):
    """What was written: the number of rows, and the titles of the columns that a narrow terminal hides.

    `escaped_id` is the first id that has escapes in this format, as a word that a shell reads.
    """

    rows: int
    hidden: tuple[str, ...] = ()
    escaped_id: str | None = None


def write(result: Listing | Record, output: OutputFormat, stream: TextIO, terminal: Terminal) -> Written:
    """Write a listing or record in the format."""
    set_encoding(stream, terminal)
    escaped: list[str] = []
    if output in (OutputFormat.TABLE, OutputFormat.CSV, OutputFormat.MD):
        if isinstance(result, Record):
            escaped += _escaped_ids(result.columns, result.row)
        else:
            result = replace(result, rows=_noting_ids(result.columns, result.rows, escaped))
    written = _write(result, output, stream, terminal)
    return written._replace(escaped_id=escaped[0]) if escaped else written


def _write(result: Listing | Record, output: OutputFormat, stream: TextIO, terminal: Terminal) -> Written:
    if isinstance(result, Record):
        if output is OutputFormat.TABLE:
            return _table_record(result, stream, terminal)
        _RECORD_WRITERS[output](result, stream, terminal)
        return Written(1)
    if output is OutputFormat.TABLE:
        return _table_listing(result, stream, terminal)
    return Written(_LISTING_WRITERS[output](result, stream, terminal))


def _noting_ids(columns: Sequence[Column], rows: Iterable[Row], escaped: list[str]) -> Iterator[Row]:
    """The rows. The first id among them that has escapes is added to `escaped`."""
    for row in rows:
        if not escaped:
            escaped += _escaped_ids(columns, row)
        yield row


def _escaped_ids(columns: Sequence[Column], row: Row) -> list[str]:
    ids = (column.value(row) for column in columns if column.key.endswith("_id"))
    return [word for each in ids if isinstance(each, str) and (word := shell_word(each)) is not None]


def set_encoding(stream: TextIO, terminal: Terminal) -> None:
    """A pipe gets UTF-8 whatever the locale. A terminal gets escapes for characters that its encoding does not have."""
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(encoding=stream.encoding if terminal.is_terminal else "utf-8", errors="backslashreplace")


# --- JSON and JSON lines ---


def _json_listing(listing: Listing, stream: TextIO, _terminal: Terminal) -> int:
    if listing.streamed:
        return _json_stream(listing, stream)
    rows = list(listing.rows)
    stream.write(as_json({"items": rows, **listing.ending}) + "\n")
    return len(rows)


def _json_stream(listing: Listing, stream: TextIO) -> int:
    """Write the same bytes as for a listing that is not streamed, but row by row, in little memory."""
    written = 0
    stream.write('{\n  "items": [')
    for row in listing.rows:
        stream.write((",\n    " if written else "\n    ") + as_json(row).replace("\n", "\n    "))
        written += 1
    stream.write(("\n  ]" if written else "]") + "," + as_json(listing.ending).removeprefix("{") + "\n")
    return written


def _jsonl_listing(listing: Listing, stream: TextIO, _terminal: Terminal) -> int:
    written = 0
    for row in listing.rows:
        stream.write(as_json(row, indented=False) + "\n")
        written += 1
    return written


# --- YAML ---


def _yaml_listing(listing: Listing, stream: TextIO, _terminal: Terminal) -> int:
    from chatstore_cli.render.yaml_text import as_yaml

    if listing.live:
        written = 0
        for row in listing.rows:
            stream.write(as_yaml(row, document=True))
            written += 1
        return written
    if listing.streamed:
        return _yaml_stream(listing, stream)
    rows = list(listing.rows)
    stream.write(as_yaml({"items": rows, **listing.ending}))
    return len(rows)


def _yaml_stream(listing: Listing, stream: TextIO) -> int:
    """Write the same bytes as for a listing that is not streamed, but some rows at a time, in little memory."""
    from chatstore_cli.render.yaml_text import yaml_items

    written = 0

    def counted() -> Iterator[Row]:
        nonlocal written
        for row in listing.rows:
            written += 1
            yield row

    stream.writelines(yaml_items(counted(), lambda: listing.ending))
    return written


def _yaml_record(record: Record, stream: TextIO, _terminal: Terminal) -> None:
    from chatstore_cli.render.yaml_text import as_yaml

    stream.write(as_yaml(record.row))


# --- CSV ---


def _csv_listing(listing: Listing, stream: TextIO, _terminal: Terminal) -> int:
    stream.write(",".join(column.key for column in listing.columns) + "\n")
    written = 0
    for row in listing.rows:
        stream.write(",".join(_csv_cell(column, row) for column in listing.columns) + "\n")
        written += 1
    return written


def _csv_cell(column: Column, row: Row) -> str:
    """The value as a cell: true and false as in JSON, nested values as JSON.

    Cells with a semicolon or a tab are quoted too: many spreadsheets separate columns at these, which `csv` cannot do.
    """
    value = column.value(row)
    if isinstance(value, bool):
        text = "true" if value else "false"
    else:
        text = as_json(value, indented=False) if isinstance(value, dict | list | tuple) else plain(value)
    cell = sanitize_csv_cell(sanitize_id(text) if column.is_id else text)
    return '"' + cell.replace('"', '""') + '"' if _QUOTED.search(cell) else cell


# --- Markdown ---


def _markdown_listing(listing: Listing, stream: TextIO, terminal: Terminal) -> int:
    if listing.list_item is not None:
        items = [listing.list_item(row) for row in listing.rows]
        stream.writelines(f"- {mark} {_markdown_text(text)}\n" for mark, text in items)
        return len(items)
    columns = _table_columns(listing.columns, terminal)
    stream.write(_markdown_line(column.title for column in columns))
    stream.write("| " + " | ".join("---:" if column.align == "right" else "---" for column in columns) + " |\n")
    written = 0
    for row in listing.rows:
        stream.write(_markdown_line(column.cell(row) for column in columns))
        written += 1
    if listing.footer is not None:
        stream.write(_markdown_line(column.cell(listing.footer) for column in columns))
    if listing.caption:
        stream.write(f"\n{_markdown_text(listing.caption)}\n")
    return written


def _markdown_record(record: Record, stream: TextIO, terminal: Terminal) -> None:
    stream.write("| | |\n| --- | --- |\n")
    for column in _table_columns(record.columns, terminal):
        stream.write(_markdown_line((column.title, column.cell(record.row))))
    for title, listing in _sections_with_rows(record.sections):
        stream.write(f"\n### {_markdown_text(title)}\n\n")
        _markdown_listing(listing, stream, terminal)


def _markdown_line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(_markdown_text(cell) for cell in cells) + " |\n"


def _markdown_text(text: str) -> str:
    safe = sanitize_line(text).replace("\\", "\\\\")
    for character, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        safe = safe.replace(character, escaped)
    for character in "|`*_[]~":
        safe = safe.replace(character, "\\" + character)
    return safe


# --- tables ---


def _table_listing(listing: Listing, stream: TextIO, terminal: Terminal) -> Written:
    columns = _table_columns(listing.columns, terminal)
    if listing.live:
        from chatstore_cli.render.live_table import write_live_table

        return Written(*write_live_table(columns, listing.rows, stream, terminal))
    source = iter(listing.rows)
    rows = list(islice(source, _MOST_ALIGNED) if listing.streamed else source)
    if not rows:
        return Written(0)
    if len(rows) == _MOST_ALIGNED and listing.streamed:
        from chatstore_cli.render.live_table import write_live_table

        return Written(*write_live_table(columns, chain(rows, source), stream, terminal))
    hidden: tuple[str, ...] = ()
    if listing.upright:
        for number, row in enumerate(rows):
            stream.write("\n" if number else "")
            _table_record(Record(columns, row), stream, terminal)
    elif terminal.is_terminal or terminal.color:
        from chatstore_cli.render.rich_table import write_rich_table

        hidden = write_rich_table(columns, rows, listing.footer, stream, terminal)
    else:
        lines = [*rows, listing.footer] if listing.footer is not None else rows
        cells = [[sanitize_line(column.cell(row)) for column in columns] for row in lines]
        stream.writelines(_aligned(columns, [[column.title for column in columns], *cells]))
    return Written(len(rows), hidden)


_MOST_ALIGNED = 2000
"""The most streamed rows that a table aligns. If there are more, each row is written when it is read."""
_MOST_PADDING = 500
"""A column in a pipe is as wide as its longest cell, but not wider than this. Longer cells are not cut."""
_MOST_PADDING_OF_PROSE = 60
"""The same for a column of sentences. Otherwise one long sentence would move the next column out of sight in every row."""


def _aligned(columns: Sequence[Column], lines: list[list[str]]) -> Iterator[str]:
    # One long value in a thousand rows would be a table of thousands of times its length.
    natural = zip(natural_widths(lines), columns, strict=True)
    widths = [min(width, _MOST_PADDING_OF_PROSE if column.wraps else _MOST_PADDING) for width, column in natural]
    for line in lines:
        cells = (padded(cell, width, column.align) for column, cell, width in zip(columns, line, widths, strict=True))
        yield GAP.join(cells).rstrip() + "\n"


def _table_record(record: Record, stream: TextIO, terminal: Terminal) -> Written:
    columns = _table_columns(record.columns, terminal)
    width = max((width_of(column.title) for column in columns), default=0)
    hidden: tuple[str, ...] = ()
    for column in columns:
        title = _bold(padded(column.title, width, "left"), terminal)
        stream.write(f"{title}{GAP}{sanitize_line(column.cell(record.row))}".rstrip() + "\n")
    for title, listing in _sections_with_rows(record.sections):
        stream.write("\n" + _bold(sanitize_line(title), terminal) + "\n")
        hidden += _table_listing(listing, stream, terminal).hidden
    return Written(1, tuple(dict.fromkeys(hidden)))


def _sections_with_rows(sections: Iterable[tuple[str, Listing]]) -> Iterator[tuple[str, Listing]]:
    for title, listing in sections:
        if rows := list(listing.rows):
            yield title, replace(listing, rows=rows)


def _bold(text: str, terminal: Terminal) -> str:
    return f"{_BOLD}{text}{_RESET}" if terminal.color else text


def _table_columns(columns: Sequence[Column], terminal: Terminal) -> list[Column]:
    return [column.in_times(terminal.times) for column in columns if column.in_table]


_LISTING_WRITERS: dict[OutputFormat, Callable[[Listing, TextIO, Terminal], int]] = {
    OutputFormat.JSON: _json_listing,
    OutputFormat.JSONL: _jsonl_listing,
    OutputFormat.CSV: _csv_listing,
    OutputFormat.YAML: _yaml_listing,
    OutputFormat.MD: _markdown_listing,
}
_RECORD_WRITERS: dict[OutputFormat, Callable[[Record, TextIO, Terminal], object]] = {
    OutputFormat.JSON: lambda record, stream, _: stream.write(as_json(record.row) + "\n"),
    OutputFormat.JSONL: lambda record, stream, _: stream.write(as_json(record.row, indented=False) + "\n"),
    OutputFormat.CSV: lambda record, stream, terminal: _csv_listing(
        Listing(record.columns, [record.row]), stream, terminal
    ),
    OutputFormat.YAML: _yaml_record,
    OutputFormat.MD: _markdown_record,
}
