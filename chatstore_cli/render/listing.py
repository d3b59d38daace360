"""What a command shows: rows with columns, or one record. Formats know nothing of where it came from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `key` may be a path into the row (`usage.total_tokens`); `show` makes a cell of the row's value.

    `show_row` makes the cell of the whole row instead, where one value does not say it. `in_table` False leaves the
    column to CSV; JSON always has the whole row. On a terminal that is too narrow, columns are cut (one that `wraps` goes
    over several lines instead), except `whole` and right-aligned ones. None is cut below its `narrowest` while others can
    be left out instead: those with the highest `spare` first.
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

    def value(self, row: Row) -> Any:
        """The row's value at this column's path; None where there is none."""
        value: Any = row
        for step in self.key.split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
        return value

    def cell(self, row: Row) -> str:
        """The text of the cell, not yet made safe."""
        if self.show_row is not None:
            return self.show_row(row)
        value = self.value(row)
        if self.show is not None:
            return self.show(value)
        return plain(value)


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows of one kind. `empty` is said on stderr where there are none.

    `footer` is a last row of a table, such as totals; `beside` stands beside the items in JSON. CSV and JSONL have
    rows alone: whoever adds them up must not add totals to them. `list_item` makes Markdown a list instead of a table:
    a row's mark, such as `[x]`, and its text. `upright` makes a table of each row, a line a field, where there are few
    rows of many fields. `live` rows come one at a time, and a table shows each at once.
    """

    columns: Sequence[Column]
    rows: Iterable[Row]
    next_cursor: str | None = None
    empty: str = "Nothing found."
    footer: Row | None = None
    beside: Mapping[str, Any] = field(default_factory=dict)
    list_item: Callable[[Row], tuple[str, str]] | None = None
    upright: bool = False
    live: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """One thing: JSON gives it as one object, a table as a line a field.

    `sections` are lists that belong to it: tables of their own below the fields, where the row has them nested.
    """

    columns: Sequence[Column]
    row: Row
    sections: Sequence[tuple[str, Listing]] = ()


@dataclass(frozen=True, slots=True)
class Terminal:
    """What the output goes to."""

    is_terminal: bool = False
    width: int = 80
    color: bool = False


def plain(value: Any) -> str:
    """A value as text: nothing for None, yes and no for booleans, JSON for what is nested."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping | list | tuple):
        import json

        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def count(value: Any) -> str:
    """A whole number with thousands separated."""
    return "" if value is None else f"{value:,}"
