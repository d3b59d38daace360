"""Stored text cannot control a terminal, a spreadsheet or a Markdown page."""

from __future__ import annotations

import csv
import io
import subprocess
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore_cli.render.formats import write
from chatstore_cli.render.listing import Column, Listing, Record, Terminal
from chatstore_cli.render.output_format import OutputFormat
from chatstore_cli.render.safe import sanitize_csv_cell, sanitize_id, sanitize_line, sanitize_text, shell_word

COLUMNS = (Column("text", "TEXT"), Column("after", "AFTER"))
DIRECTION_MARKS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\u2028\u2029")
TEXT_FORMATS = [OutputFormat.TABLE, OutputFormat.CSV, OutputFormat.MD]


def written(text: str, output: OutputFormat, terminal: Terminal | None = None) -> str:
    stream = io.StringIO(newline="")
    write(Listing(COLUMNS, [{"text": text, "after": "end"}]), output, stream, terminal or Terminal())
    return stream.getvalue()


def is_control(sign: str) -> bool:
    return (unicodedata.category(sign) in {"Cc", "Cs"} and sign not in "\n\t") or sign in DIRECTION_MARKS


@given(st.text(st.characters()))
@pytest.mark.parametrize("output", TEXT_FORMATS)
def test_no_control_sequence_or_direction_mark_reaches_any_output(output: OutputFormat, text: str) -> None:
    assert not [sign for sign in written(text, output) if is_control(sign)]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_an_escape_sequence_is_shown_as_text(is_terminal: bool) -> None:
    shown = written("\x1b[31mred\x9b2J", OutputFormat.TABLE, Terminal(is_terminal=is_terminal, width=80))

    assert "\\x1b[31mred\\x9b2J" in shown
    assert "\x1b" not in shown


def test_markup_of_the_table_library_is_plain_text() -> None:
    shown = written("[bold]x[/bold] :smile: [link=http://a]b[/link]", OutputFormat.TABLE, Terminal(True, 120, True))

    assert "[bold]x[/bold] :smile: [link=http://a]b[/link]" in shown


def test_a_record_is_as_safe_as_a_list() -> None:
    stream = io.StringIO()
    write(Record(COLUMNS, {"text": "\x1b]0;title\x07\u202e", "after": ""}), OutputFormat.TABLE, stream, Terminal())

    assert "\\x1b]0;title\\x07\\u202e" in stream.getvalue()


def test_a_line_break_is_an_arrow_in_a_sanitized_line_and_remains_in_sanitized_text() -> None:
    assert (sanitize_line("a\r\nb\tc"), sanitize_text("a\nb\x08")) == ("a\u21b5b c", "a\nb\\x08")


@pytest.mark.parametrize(
    "formula",
    [
        "=1+1",
        "+1+1",
        "-1+1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        " =1",
        "=cmd|' /C calc'!A0",
        "\uff1d1",
        "--1",
        "\n=1",
        "\xa0=1",
        "\u3000+1",
        "\u200b@A1",
        "\ufe661",
        "\n \u200b\u2212A1",
        "\ufe62cmd",
        "\x00=1",
    ],
)
def test_a_formula_becomes_text(formula: str) -> None:
    [_, [cell, _]] = csv.reader(io.StringIO(written(formula, OutputFormat.CSV), newline=""))

    assert cell.startswith("'")


@pytest.mark.parametrize("text", ["a;b", "a\tb", "a,b", 'a"b', "a\nb"])
def test_a_cell_that_some_spreadsheet_would_split_is_quoted(text: str) -> None:
    row = written(text, OutputFormat.CSV).removeprefix("text,after\n")
    assert row == '"' + text.replace('"', '""') + '",end\n'


INVISIBLE = ["\u200b", "\u200d", "\u00ad", "\u3164", "\ufe0f", "\u2060", "\u00a0", "\u2800", "\U000e0100"]


@pytest.mark.parametrize("output", TEXT_FORMATS)
@pytest.mark.parametrize("sign", INVISIBLE)
@pytest.mark.parametrize("key", ["session_id", "user_id", "tenant_id"])
def test_an_id_shows_characters_that_are_invisible(output: OutputFormat, sign: str, key: str) -> None:
    columns = (Column(key, "ID"), Column("after", "AFTER"))
    shown = []
    for stored in (f"an{sign}na", "anna"):
        stream = io.StringIO(newline="")
        write(Listing(columns, [{key: stored, "after": "end"}]), output, stream, Terminal())
        shown.append(stream.getvalue())
    assert sign not in shown[0]
    assert f"{ord(sign):x}na" in shown[0]
    assert "anna" in shown[1]


def test_an_id_shows_the_spaces_around_it_and_message_text_keeps_its_emoji() -> None:
    assert (sanitize_id(" ann "), sanitize_id("ann b")) == ("\\x20ann\\x20", "ann b")
    assert sanitize_line("\u2764\ufe0f") == "\u2764\ufe0f"


@pytest.mark.parametrize("number", ["-1", "+2.5", "-1e9", "12"])
def test_a_number_stays_a_number(number: str) -> None:
    assert sanitize_csv_cell(number) == number


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Cf", "Zl", "Zp"])))
def test_ordinary_text_reads_back_from_csv_as_it_was(text: str) -> None:
    [_, [cell, after]] = csv.reader(io.StringIO(written(text, OutputFormat.CSV), newline=""))

    assert (cell.removeprefix("'"), after) == (text.removeprefix("'"), "end")


def test_a_markdown_cell_stays_one_cell() -> None:
    line = written("a|b `c` <script> *d* _e_ [f](g) \\| \n# h", OutputFormat.MD).splitlines()[2]

    assert line == "| a\\|b \\`c\\` &lt;script&gt; \\*d\\* \\_e\\_ \\[f\\](g) \\\\\\| \u21b5# h | end |"


@pytest.mark.parametrize(
    "text", ["a\tb", "a\nb", "it's\t\\x", "\u202ex", " a", "a  ", "a\u00a0b", "\u200b", "é\u0301\t"]
)
def test_an_id_with_invisible_characters_is_a_word_that_bash_reads_as_it_is(text: str) -> None:
    word = shell_word(text)
    assert word is not None
    assert word.isprintable()
    assert " " not in word
    command = ["bash", "-c", f"printf %s {word}"]
    assert subprocess.run(command, capture_output=True, env={"LC_ALL": "C.UTF-8"}).stdout.decode() == text


def test_an_id_that_a_table_shows_as_it_is_needs_no_quotes() -> None:
    assert [shell_word(text) for text in ("chat-1", "a b", "it's", "é", "a\0b")] == [None] * 5
