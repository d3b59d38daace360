"""A mapping gives chatstore's names to the fields of a line, and loses no value."""

from __future__ import annotations

from typing import Any

import pytest

from chatstore_cli.domain.field_mapping import FieldMapping, merged_mapping
from chatstore_cli.files.journal_lines import read_record, salvage


@pytest.mark.parametrize(
    ("mapping", "line", "mapped"),
    [
        ("text=content", {"content": "x", "n": 1}, {"text": "x", "n": 1}),
        ("text=content", {"text": "x"}, {"text": "x"}),
        ("text=content", {"content": "x", "text": "y"}, {"text": "x", "content": "y"}),
        ("text=a.b", {"a": {"b": "x", "c": 1}, "text": "y"}, {"text": "x", "a.b": "y", "a": {"c": 1}}),
        ("text=a.b", {"a.b": "x"}, {"text": "x"}),
        ("text=a.b", {"a": "x"}, {"a": "x"}),
        ("text=a.b", {"a": {}}, {"a": {}}),
        ("role=text, text=role", {"role": "x", "text": "user"}, {"role": "user", "text": "x"}),
        ("text=content", {"content": None}, {"text": None}),
        ("roles.bot=assistant", {"role": "bot"}, {"role": "assistant"}),
        ("roles.bot=assistant", {"role": ["bot"]}, {"role": ["bot"]}),
        ("role=sender, roles.bot=assistant", {"sender": "bot"}, {"role": "assistant"}),
        ("role=sender, roles.bot=assistant", {"sender": "user"}, {"role": "user"}),
    ],
)
def test_a_line_gets_the_names_and_keeps_its_values(mapping: str, line: dict[str, Any], mapped: dict[str, Any]):
    assert FieldMapping(mapping).apply(line) == mapped


def test_mappings_are_the_same_however_they_are_written():
    assert FieldMapping("text=a, roles.x=user").key == FieldMapping(" roles.x = user,text = a,").key
    assert len({FieldMapping(text).key for text in ("text=a", "text=b", "role=a", "roles.a=user")}) == 4
    assert merged_mapping("text=a, role=b", ["text=c", "roles.x=tool, message_id=id"]) == (
        "text=c, role=b, roles.x=tool, message_id=id"
    )


def test_damaged_lines_and_repeated_names_are_read_with_the_mapping():
    mapping = FieldMapping("text=content")
    record = b'{"session_id": "s", "role": "user", "content": "x", "created_at": "2026-03-02T11:41:00Z"}'
    pieces = list(salvage(b'{"torn": ' + record, mapping))
    assert [(piece.raw, piece.flaw is None) for piece in pieces] == [(b'{"torn": ', False), (record, True)]
    twice = record[:-1] + b', "content": "y"}'
    assert read_record(twice, mapping).flaw == 'the key "content" occurs more than once'
    huge = record[:-1] + b', "n": 123456789012345678901234567890}'
    read = read_record(huge, mapping)
    assert read.flaw is None and read.fields is not None and read.fields["text"] == "x"
