"""YAML has the same values as the JSON output for any stored value."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from chatstore_cli.render.formats import write
from chatstore_cli.render.listing import Column, Listing, Record, Terminal
from chatstore_cli.render.output_format import OutputFormat
from chatstore_cli.render.yaml_text import as_yaml, yaml_items

# Characters that have a meaning in YAML: hypothesis would seldom draw a text of only these.
texts = st.text(st.characters()) | st.text("ab :#-?|>&*!%@`'\"{}[],\\~=<.0123456789e_\n\r\t\u0085\u2028\u202e\ufeff🙂é")
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
rows = st.dictionaries(texts, values, max_size=4)
COLUMNS = (Column("name", "NAME"),)


def written(shown: Listing | Record, output: OutputFormat) -> str:
    stream = io.StringIO()
    write(shown, output, stream, Terminal())
    return stream.getvalue()


@given(st.lists(rows, max_size=3), rows)
def test_a_listing_reads_back_as_its_json_does(items: list[dict[str, Any]], beside: dict[str, Any]) -> None:
    listing = Listing(COLUMNS, items, next_cursor="c", beside=beside)
    assert yaml.safe_load(written(listing, OutputFormat.YAML)) == json.loads(written(listing, OutputFormat.JSON))


@given(rows)
def test_a_record_reads_back_as_its_json_does(row: dict[str, Any]) -> None:
    text = written(Record(COLUMNS, row), OutputFormat.YAML)
    expected = json.loads(written(Record(COLUMNS, row), OutputFormat.JSON))
    assert yaml.safe_load(text) == expected
    assert list(yaml.safe_load(text)) == list(expected)


@given(st.lists(rows, max_size=3))
def test_rows_that_come_one_at_a_time_are_a_document_each(items: list[dict[str, Any]]) -> None:
    text = written(Listing(COLUMNS, items, live=True), OutputFormat.YAML)
    lines = written(Listing(COLUMNS, items, live=True), OutputFormat.JSONL).split("\n")[:-1]
    assert list(yaml.safe_load_all(text)) == [json.loads(line) for line in lines]


@pytest.mark.parametrize("count", [0, 1, 50, 120])
def test_items_in_pieces_are_the_same_text_as_the_whole(count: int) -> None:
    items = [{"number": number, "text": "a\nb", "list": []} for number in range(count)]
    assert "".join(yaml_items(items)) == as_yaml({"items": items, "next_cursor": None})


@pytest.mark.parametrize("text", ["\n", "\n\n", "a\n\n", "a\n \n\n", "a\n"])
def test_pieces_can_follow_a_text_that_ends_with_empty_lines(text: str) -> None:
    items = [{"text": text}] * 60
    assert yaml.safe_load("".join(yaml_items(items))) == {"items": items, "next_cursor": None}


@given(texts)
@example("\u202edrow\u2066 \x1b[2J\x9b \U000e0041\n")
def test_the_text_has_no_control_characters(text: str) -> None:
    obeyed = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029\ufeff"
    for sign in as_yaml({text: text}):
        assert sign not in obeyed
        assert not (ord(sign) < 0x20 and sign != "\n")
        assert not 0x7F <= ord(sign) < 0xA0
        assert not 0xE0000 <= ord(sign) < 0xE0080


NOT_TEXT = [
    "yes",
    "No",
    "off",
    "null",
    "~",
    "12",
    "1_000",
    "0x1f",
    "1e5",
    "0o17",
    "y",
    "N",
    ".inf",
    "12:30:45",
    "2026-03-01",
    "=",
    "<<",
    "*a",
    "%YAML",
    "---",
    "@x",
    "`x",
    "x:",
]


@pytest.mark.parametrize("text", ["", " x ", "&a x", "!tag x", "- x", "? x", "x: y", "x #y", *NOT_TEXT])
def test_text_that_looks_like_something_else_is_quoted(text: str) -> None:
    assert yaml.safe_load(as_yaml({"key": text, text: 1})) == {"key": text, text: 1}
    assert f"key: '{text}'\n" in as_yaml({"key": text})


def test_equal_values_are_repeated_without_anchors() -> None:
    shared = {"a": [1]}
    assert as_yaml([shared, shared]) == "- a:\n  - 1\n- a:\n  - 1\n"


def test_many_lines_and_every_script_stay_readable() -> None:
    assert as_yaml({"text": "Grüße, 写作 🙂\n  second line"}) == "text: |-\n  Grüße, 写作 🙂\n    second line\n"
