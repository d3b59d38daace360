"""The option --columns: which columns a table, CSV or Markdown has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import typer

from chatstore_cli.domain.errors import BadValue
from chatstore_cli.render.listing import Column

ColumnsOption = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="NAME,...",
        help="Show these columns in this order: keys of -o json, such as session_id,usage.cost. JSON and YAML keep all keys.",
    ),
]


def chosen_columns(columns: Sequence[Column], names: str | None) -> Sequence[Column]:
    """The columns with these names, in this order, or all of them without names.

    Chosen columns are shown whatever the width of the terminal. Raises BadValue.
    """
    if names is None:
        return columns
    by_key = {column.key: column for column in columns}
    chosen: dict[str, Column] = {}
    for name in (part.strip() for part in names.split(",")):
        if name not in by_key:
            from chatstore_cli.core.similar import did_you_mean

            nested = {key.rpartition(".")[2]: key for key in by_key}  # `cost` for `usage.cost`
            hint = f"Did you mean {nested[name]!r}?" if name in nested else did_you_mean(name, by_key)
            hint = hint or f"Columns are {', '.join(by_key)}."
            raise BadValue(name="--columns", value=name, expected="a column of this list", hint=hint)
        chosen[name] = _shown(by_key[name])
    return list(chosen.values())


def _shown(column: Column) -> Column:
    """The column in every table. A cell that stands for two columns, as in TITLE OR WORKFLOW, has its own value alone."""
    shown = replace(column, in_table=True, spare=0)
    return replace(shown, title=column.key.upper(), show_row=None) if " OR " in column.title else shown
