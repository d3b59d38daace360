"""The text of a value."""

from __future__ import annotations

import pytest

from chatstore_cli.core.search.message_text import message_text
from chatstore_cli.domain.content import content_text, json_text
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.workflow.repairs import Repairs
from chatstore_cli.transcripts.openai import rows


def test_a_value_nested_deeper_than_any_database_stores_is_cut_with_a_note() -> None:
    deep: object = "end"
    for _ in range(900):
        deep = {"a": deep}
    text = json_text(deep)
    assert text.count('{"a":') == 200
    assert '"(nested too deep to be shown)"' in text


WRITTEN = [
    "data: the cat sat on the mat",
    "data:",
    "data:,hello",
    "data:image/png",
    "data:image/png;base64",
    "data:text/plain, see the attachment",
    "data:a,b",
    "data:user/42 wrote this,\nand more",
    "data:;base64,not base64: no",
    'data: {"choices": []}',
]


@pytest.mark.parametrize("text", WRITTEN)
def test_text_that_begins_like_a_data_uri_is_text(text: str) -> None:
    for content in (text, [text], [{"type": "text", "text": text}]):
        message = Message("s", role="user", content=content)
        assert content_text(content) == text
        assert message_text(message) == text
    repairs = Repairs()
    [row] = rows([Message("s", role="user", content=text)], repairs)
    assert (row["content"], repairs.notes()) == (text, [])


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("data:image/png;base64,iVBORw0KGgo=", "[image image/png, 8 bytes]"),
        ("data:;base64,aGVsbG8=", "[file 5 bytes]"),
        ("data:text/plain;charset=utf-8;base64,aGVsbG8=", "[file text/plain, 5 bytes]"),
        ("data:text/plain,hello%20world", "[file text/plain, 11 bytes]"),
        ("data:text/plain;charset=US-ASCII,", "[file text/plain, 0 bytes]"),
        ("data:image/svg+xml;utf8,%3Csvg/%3E", "[image image/svg+xml, 6 bytes]"),
    ],
)
def test_a_data_uri_is_a_file(uri: str, shown: str) -> None:
    assert content_text(uri) == shown
    assert content_text([uri, "and text"]) == f"{shown}\nand text"
