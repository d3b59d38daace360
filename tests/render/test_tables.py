"""Tables: aligned in a pipe, fitted to the terminal, coloured only on request."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from chatstore_cli.cli.results import terminal_of
from chatstore_cli.render.formats import write
from chatstore_cli.render.listing import Column, Listing, Record, Terminal
from chatstore_cli.render.output_format import OutputFormat
from chatstore_cli.render.rows.cache import prune_columns
from chatstore_cli.render.rows.sessions import SESSION_COLUMNS, status_style
from chatstore_cli.render.widths import fitted

COLUMNS = (
    Column("name", "NAME"),
    Column("status", "STATUS", style=status_style, whole=True),
    Column("tokens", "TOKENS", align="right"),
    Column("note", "NOTE", spare=1),
)


def row(name: str, status: str = "failed", tokens: int = 12, note: str = "") -> dict[str, Any]:
    return {"name": name, "status": status, "tokens": tokens, "note": note}


def table(*rows: dict[str, Any], terminal: Terminal | None = None, footer: dict[str, Any] | None = None) -> list[str]:
    stream = io.StringIO()
    write(Listing(COLUMNS, rows, footer=footer), OutputFormat.TABLE, stream, terminal or Terminal())
    return stream.getvalue().splitlines()


def test_a_pipe_gets_aligned_columns_and_nothing_cut() -> None:
    long = "x" * 300
    assert table(row("a", note=long), row("bcd", tokens=1234)) == [
        "NAME  STATUS  TOKENS  NOTE",
        f"a     failed      12  {long}",
        "bcd   failed    1234",
    ]


def test_a_long_sentence_in_a_pipe_does_not_move_the_next_column_of_other_rows() -> None:
    columns = (Column("detail", "DETAIL", wraps=True), Column("hint", "WHAT TO DO", wraps=True))
    rows = [{"detail": "x" * 300, "hint": "Do this."}, {"detail": "short", "hint": "Do that."}]
    stream = io.StringIO()
    write(Listing(columns, rows), OutputFormat.TABLE, stream, Terminal())
    heading, long, short = stream.getvalue().splitlines()
    assert heading.index("WHAT TO DO") == short.index("Do that.") == 62
    assert long == f"{'x' * 300}  Do this."


def test_a_plan_of_pruning_at_80_columns_keeps_whole_words_of_its_reasons_and_every_journal() -> None:
    paths = [f"/var/lib/chat/journals/session-{number:012}.jsonl" for number in range(2)]
    reason = "last written at 2026-03-02 11:41:00 UTC"
    rows = [
        {"action": "keep", "journal": path, "session_id": path[-26:-6], "bytes": 5_593, "reason": reason}
        for path in paths
    ]
    stream = io.StringIO()
    write(Listing(prune_columns(""), rows), OutputFormat.TABLE, stream, Terminal(is_terminal=True, width=80))
    lines = stream.getvalue().splitlines()
    assert lines[0].split() == ["ACTION", "JOURNAL", "LINES", "BYTES", "REASON"]
    assert len(lines) == 1 + 2 * 2
    assert lines[1].rstrip().endswith("last written at 2026-03-02")


def test_one_long_cell_does_not_pad_a_thousand_rows() -> None:
    lines = table(row("x" * 100_000), *[row("a")] * 1_000)

    assert lines[1].startswith("x" * 100_000)
    assert {len(line) for line in lines[2:]} == {len("a") + 499 + len("  failed      12")}


def test_wide_characters_keep_the_columns_aligned() -> None:
    lines = table(row("日本語"), row("🙂"), row("e\u0301"), row("plain"))

    assert {cell_len(line[: line.index("failed")]) for line in lines[1:]} == {8}


def test_without_rows_there_is_no_table() -> None:
    assert table() == []


def test_a_footer_is_the_last_row_and_counts_for_the_widths() -> None:
    assert table(row("a"), footer=row("TOTAL", status="", tokens=1_000_000))[-1] == "TOTAL          1000000"


@given(st.integers(min_value=24, max_value=200), st.lists(st.text(max_size=60), min_size=4, max_size=4))
def test_a_terminal_gets_lines_that_fit(width: int, texts: list[str]) -> None:
    lines = table(row(texts[0], note=texts[1]), row(texts[2], note=texts[3]), terminal=Terminal(True, width, False))

    assert max(cell_len(line) for line in lines) <= width


def test_what_is_cut_ends_with_an_ellipsis_and_numbers_are_never_cut() -> None:
    lines = table(row("n" * 50, tokens=1_000_000, note="m" * 50), terminal=Terminal(True, 60, False))

    assert "n…" in lines[1]
    assert "m…" in lines[1]
    assert "failed" in lines[1]
    assert "1000000" in lines[1]


def test_the_widest_columns_are_cut_before_columns_are_left_out() -> None:
    columns = [Column("a", "A"), Column("b", "B"), Column("c", "C", spare=1), Column("d", "D", align="right")]

    assert fitted(columns, [40, 6, 20, 5], 100) == {0: 40, 1: 6, 2: 20, 3: 5}
    assert fitted(columns, [40, 6, 20, 5], 67) == {0: 30, 1: 6, 2: 20, 3: 5}
    assert fitted(columns, [40, 6, 20, 5], 37) == {0: 10, 1: 6, 2: 10, 3: 5}
    assert fitted(columns, [40, 6, 20, 5], 31) == {0: 16, 1: 6, 3: 5}


@pytest.mark.parametrize("width", [80, 100, 120])
def test_a_session_s_id_can_be_copied_at_usual_widths(width: int) -> None:
    columns = [column for column in SESSION_COLUMNS if column.in_table]
    widths = [len(column.title) for column in columns]
    widths[0], widths[-1] = 36, 19

    shown = fitted(columns, widths, width)

    assert sum(shown.values()) + 2 * (len(shown) - 1) <= width
    assert shown[0] == 36


def test_if_no_column_can_be_left_out_all_are_cut() -> None:
    columns = [Column("a", "A", whole=True), Column("b", "B", align="right")]

    assert fitted(columns, [40, 10], 20) == {0: 8, 1: 10}
    assert fitted(columns, [40, 10], 12) == {0: 5, 1: 5}
    assert fitted(columns, [40, 10], 2) == {0: 1, 1: 1}


@pytest.mark.parametrize("width", [20, 40, 60, 80])
def test_cost_and_tenant_are_in_every_list_however_narrow_the_terminal(width: int) -> None:
    columns = [column for column in SESSION_COLUMNS if column.in_table]
    natural = [max(len(column.title), 38 if column.key == "session_id" else 9) for column in columns]

    shown = fitted(columns, natural, width)

    assert {columns[position].key for position in shown} >= {"session_id", "tenant_id", "usage.cost"}
    assert sum(shown.values()) + 2 * (len(shown) - 1) <= width
    assert all(cells >= 3 for cells in shown.values())


def test_colour_is_there_only_when_asked_for() -> None:
    assert "\x1b[31m" in "".join(table(row("a"), terminal=Terminal(True, 80, True)))
    assert "\x1b" not in "".join(table(row("a"), terminal=Terminal(True, 80, False)))


def test_colour_in_a_pipe_changes_no_width() -> None:
    """With FORCE_COLOR or --color always a pipe gets colours, and nothing is cut."""
    long = "x" * 300
    lines = table(row("a", note=long), terminal=Terminal(False, 80, True))

    assert long in lines[1]


@pytest.mark.parametrize(
    ("environment", "is_terminal", "color", "expected"),
    [
        ({}, True, "auto", True),
        ({}, False, "auto", False),
        ({"NO_COLOR": "1"}, True, "auto", False),
        ({"NO_COLOR": ""}, True, "auto", True),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, "auto", False),
        ({"FORCE_COLOR": "1"}, False, "auto", True),
        ({"TERM": "dumb"}, True, "auto", False),
        ({"TERM": "dumb"}, True, "always", True),
        ({"NO_COLOR": "1"}, True, "always", True),
        ({"FORCE_COLOR": "1"}, True, "never", False),
    ],
)
def test_options_and_environment_decide_about_colour(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], is_terminal: bool, color: str, expected: bool
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert terminal_of(is_terminal, color).color is expected


def test_a_record_has_one_line_per_field_with_its_lists_below() -> None:
    stream = io.StringIO()
    nested = Listing((Column("name", "NAME"),), [{"name": "first"}])
    sections = [("Parts", nested), ("Nothing", Listing(nested.columns, []))]
    write(Record(COLUMNS[:2], row("a"), sections), OutputFormat.TABLE, stream, Terminal())

    assert stream.getvalue() == "NAME    a\nSTATUS  failed\n\nParts\nNAME\nfirst\n"
