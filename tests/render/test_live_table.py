"""Tables that are written while their rows come."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from typing import Any

from chatstore_cli.render.listing import Column, Terminal
from chatstore_cli.render.live_table import write_live_table

COLUMNS = (
    Column("when", "TIME", whole=True),
    Column("change", "CHANGE", whole=True, style=lambda value: "green" if value == "new" else ""),
    Column("user", "USER", spare=2),
    Column("count", "COUNT", align="right", spare=1),
    Column("text", "TEXT"),
)


def row(change: str = "new", **more: Any) -> dict[str, Any]:
    return {"when": "noon", "change": change, "user": "ada", "count": 1, "text": "short", **more}


def written(rows: list[dict[str, Any]], terminal: Terminal) -> list[str]:
    stream = StringIO()
    assert write_live_table(COLUMNS, rows, stream, terminal)[0] == len(rows)
    return stream.getvalue().splitlines()


def test_each_row_is_written_before_the_next_one_is_asked_for() -> None:
    stream = StringIO()
    seen: list[int] = []

    def rows() -> Iterator[dict[str, Any]]:
        for _ in range(3):
            yield row()
            seen.append(stream.getvalue().count("\n"))

    write_live_table(COLUMNS, rows(), stream, Terminal())
    assert seen == [2, 3, 4]


def test_a_pipe_has_every_cell_whole_and_columns_grow() -> None:
    lines = written([row(), row(user="a user of a long name", text="x" * 200), row(text="y")], Terminal())
    assert lines[0].split() == ["TIME", "CHANGE", "USER", "COUNT", "TEXT"]
    assert lines[2].endswith("  a user of a long name      1  " + "x" * 200)
    assert lines[3].index("y") == lines[2].index("xxx")


def test_a_terminal_gets_the_columns_that_fit_and_whole_cells_uncut() -> None:
    terminal = Terminal(is_terminal=True, width=50)
    lines = written([row(), row(user="a user of a long name", text="x" * 200), row(change="n" * 60)], terminal)
    assert [len(line) <= 50 for line in lines] == [True, True, True, False]
    assert lines[2].endswith("x…")
    assert "a user …" in lines[2]
    assert "n" * 60 in lines[3]
    assert "USER" not in written([row()], Terminal(is_terminal=True, width=30))[0]


def test_stored_text_is_one_line_without_control_characters() -> None:
    hostile = row(text="\x1b[2J\nred\u202e", user="[bold]\x07")
    for terminal in (Terminal(), Terminal(is_terminal=True, width=200, color=True)):
        lines = written([hostile], terminal)
        assert len(lines) == 2
        assert lines[1].replace("\x1b[32mnew     \x1b[0m", "").isprintable()
        assert r"\x1b[2J↵red\u202e" in lines[1]
    assert ("\x1b[32mnew" in lines[1]) is True
