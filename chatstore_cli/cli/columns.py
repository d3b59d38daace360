"""The option --columns: which columns a table, CSV or Markdown has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import typer

from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.quantities import alternatives
from chatstore_cli.render.listing import Column

_MOST_MEANT = 3
_ZONE = re.compile(r" \([^()]*\)$")
"""The zone in the heading of a time, such as `UPDATED (UTC)`."""

ColumnsOption = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="NAME,...",
        help="Show these columns in this order, named by heading or by key of -o json, such as session_id,usage.cost. JSON "
        "and YAML keep all keys.",
    ),
]


def chosen_columns(columns: Sequence[Column], names: str | None) -> Sequence[Column]:
    """The columns with these names, in this order, or all of them without names.

    A name is a key, or a heading as a table shows it, in any case. Chosen columns are shown whatever the width of the
    terminal. Raises BadValue.
    """
    if names is None:
        return columns
    chosen: dict[str, Column] = {}
    for name in (part.strip() for part in names.split(",")):
        column = _named(name, columns)
        if column is None:
            raise _unknown(name, columns)
        chosen[column.key] = column
    return list(chosen.values())


def _named(name: str, columns: Sequence[Column]) -> Column | None:
    """The column with this key, otherwise with this heading. If it is named by its key, its cells have that value only."""
    typed = name.casefold()
    for column in columns:
        if column.key.casefold() == typed:
            return _shown(column)
    heading = _ZONE.sub("", typed)
    for column in columns:
        if column.title.casefold() in (typed, heading):
            return replace(column, in_table=True, spare=0)
    return None


def _unknown(name: str, columns: Sequence[Column]) -> BadValue:
    from chatstore_cli.core.similar import QUESTION, similar_names

    keys = [column.key for column in columns]
    by_name = {key.rpartition(".")[2]: key for key in keys}  # `total_tokens` for `usage.total_tokens`
    by_name |= {column.title.lower(): column.key for column in columns}
    by_name |= {key: key for key in keys}
    similar = [*([name] if name in by_name else []), *similar_names(name, by_name)]
    both_names = {column.key: f"{column.key} ({column.title})" for column in columns}
    meant = [both_names[key] for key in dict.fromkeys(by_name[each] for each in similar)]
    hint = f"Columns are {', '.join(both_names.values())}."
    if meant:
        hint = f"{QUESTION}{alternatives(meant[:_MOST_MEANT])}?"
    return BadValue(name="--columns", value=name, expected="a column of this list", hint=hint)


def _shown(column: Column) -> Column:
    """The column in every table. A cell that stands for two columns, as in TITLE OR WORKFLOW, has its own value alone."""
    shown = replace(column, in_table=True, spare=0)
    return replace(shown, title=column.key.upper(), show_row=None) if " OR " in column.title else shown
