"""Results of commands: a listing of rows under columns, or one record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from chatstore_cli.render.safe import sanitize_id
from chatstore_cli.render.times import IN_UTC, TimeDisplay

Row = Mapping[str, Any]
Piece = tuple[str, bool]
"""A part of a cell, and whether it is marked."""

_NEVER_HIDDEN = frozenset({"tenant_id", "usage.cost", "added.cost"})
_NAMES = frozenset({"group", "user", "tenant", "workflow", "name"})


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a listing.

    `key` may be a path into the row, such as `usage.total_tokens`. `show` makes the cell from the value, `show_row` from
    the whole row. A column that is not `in_table` is only in CSV; JSON always has the whole row.

    On a terminal that is too narrow, columns are cut, except right-aligned and `whole` ones; one that `wraps` takes
    several lines instead. Before a column is cut below its `narrowest` width, columns are left out, those with the
    highest `spare` first. Cost and tenant are never left out: rows that differ only there would look the same.


    The value of an `is_time` column is an RFC 3339 time in UTC. A table shows it in the zone of its reader and names the
    zone in the title. `show_time` makes the cell of a value that is not simply a time.

    `pieces` makes the cell of texts, some of them marked. A live table on a terminal has this cell below its row, with the
    marks. Elsewhere the cell has no marks, so that it can be searched and copied.
    """

    key: str
    title: str
    align: Literal["left", "right"] = "left"
    show: Callable[[Any], str] | None = None
    style: Callable[[Any], str] | None = None
    in_table: bool = True
    show_row: Callable[[Row], str] | None = None
    whole: bool = False
    spare: int = 0
    wraps: bool = False
    narrowest: int = 8
    is_time: bool = False
    show_time: Callable[[Any, TimeDisplay], str] | None = None
    pieces: Callable[[Row], Iterable[Piece]] | None = None

    def __post_init__(self) -> None:
        if self.spare and self.key in _NEVER_HIDDEN:
            raise ValueError(f"The column {self.key} cannot be left out.")

    @property
    def is_id(self) -> bool:
        """Whether the column has ids or names by which things are told apart."""
        return self.key.endswith("_id") or self.key in _NAMES

    def in_times(self, times: TimeDisplay) -> Column:
        """The column as a table shows it to a reader with this display of times."""
        if not self.is_time:
            return self
        show = self.show_time or (lambda value, times: times.text(value))
        return replace(self, title=times.title(self.title), show=lambda value: show(value, times), is_time=False)

    def value(self, row: Row) -> Any:
        """The row's value at this column's path; None if the row has none."""
        value: Any = row
        for step in self.key.split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
        return value

    def cell(self, row: Row) -> str:
        """The text of the cell, which is not sanitized, except that an id shows its invisible characters."""
        if self.pieces is not None:
            return "".join(text for text, _ in self.pieces(row))
        if self.show_row is not None:
            return self.show_row(row)
        value = self.value(row)
        text = plain(value) if self.show is None else self.show(value)
        return sanitize_id(text) if self.is_id else text


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows of one kind. `empty` is printed on stderr if there are none.

    `footer` is the last row of a table, such as totals. `caption` is a sentence about all rows, which Markdown has below
    them; a command prints it on stderr beside other formats. `beside` has keys beside the items of JSON and YAML. CSV and
    JSONL have only rows, so that a sum over them does not include totals. `list_item` makes Markdown a list instead of a
    table: it returns the mark of a row, such as `[x]`, and its text. `upright` shows each row as a table of its own with
    one line per field. `live` rows are written as they come: YAML has a document for each. `streamed` rows are one list
    that is written in little memory; after the last one `cursor_after` returns the cursor for the next page, and
    `beside_after` the keys beside them. `is_truncated`: there are more rows than these, which no cursor continues; `rest`
    names what shows them, if that is not a higher --limit. `next_option` shows the next page, if --cursor does not.
    `of_total` returns how many there are in all, as a sentence; it is called when a table was written, because counting may
    take a moment.
    """

    columns: Sequence[Column]
    rows: Iterable[Row]
    next_cursor: str | None = None
    empty: str = "Nothing found."
    footer: Row | None = None
    caption: str = ""
    beside: Mapping[str, Any] = field(default_factory=dict)
    list_item: Callable[[Row], tuple[str, str]] | None = None
    upright: bool = False
    live: bool = False
    streamed: bool = False
    is_truncated: bool = False
    rest: Sequence[str] = ()
    next_option: str | None = None
    of_total: Callable[[], str | None] | None = None
    cursor_after: Callable[[], str | None] | None = None
    beside_after: Callable[[], Mapping[str, Any]] = dict

    @property
    def end_cursor(self) -> str | None:
        """The cursor for the next page. For rows that are read while they are written, it is known after the last one."""
        return self.next_cursor if self.cursor_after is None else self.cursor_after()

    @property
    def next_page(self) -> str | None:
        """The option that shows the next page, such as `--cursor abc`; None on the last page."""
        cursor = self.end_cursor
        return self.next_option if cursor is None else f"--cursor {cursor}"

    @property
    def ending(self) -> dict[str, Any]:
        """What JSON and YAML have after the items."""
        return {"next_cursor": self.end_cursor, **self.beside, **self.beside_after()}

    def with_target(self, target: str) -> Listing:
        """The same listing with the server and database that were written beside the items of JSON and YAML."""
        return replace(self, beside={**self.beside, "target": target})


@dataclass(frozen=True, slots=True)
class Record:
    """One row that stands alone: one object in JSON, one line per field in a table.

    `sections` are its nested lists, with titles: a table has them below the fields.
    """

    columns: Sequence[Column]
    row: Row
    sections: Sequence[tuple[str, Listing]] = ()

    def with_target(self, target: str) -> Record:
        """The same record with the server and database that were written, which a table does not repeat."""
        return replace(self, row={**self.row, "target": target})


@dataclass(frozen=True, slots=True)
class Terminal:
    """The abilities of the stream that the output is written to, and how its reader wants to see times."""

    is_terminal: bool = False
    width: int = 80
    color: bool = False
    times: TimeDisplay = IN_UTC


def plain(value: Any) -> str:
    """A value as text: empty for None, yes or no for booleans, JSON for nested values."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping | list | tuple):
        import json

        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def count(value: Any) -> str:
    """A whole number with separated thousands; empty for None."""
    return "" if value is None else f"{value:,}"
