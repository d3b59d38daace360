"""Documents of data: what is text, what is refused, with the line, and that nothing written as YAML changes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from chatstore_cli.config.yaml_document import MOST_BYTES, read_document
from chatstore_cli.domain.errors import WrongUse
from chatstore_cli.render.json_text import as_json
from chatstore_cli.render.yaml_text import as_yaml
from tests.support.json_values import CONTENTS


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: no\nb: yes\nc: on\nd: true\ne: False\nf: ~\ng:\n", ["no", "yes", "on", True, False, None, None]),
        ("a: 0049\nb: +49\nc: 2026-03-02\nd: 1:30\ne: 0x1f\nf: 1_000\n", ["0049", "+49", "2026-03-02", "1:30", "0x1f", "1_000"]),
        ("a: 1\nb: -2.5\nc: 1e3\nd: '1'\ne: .inf\n", [1, -2.5, 1000.0, "1", ".inf"]),
        ("5: a\ntrue: b\n? null\n: c\n", ["a", "b", "c"]),
        ('{"a": 1e3, "b": "\\u202e"}', [1000.0, "\u202e"]),
        ("a: |\n  one\n  two\nb: 'it''s'\n", ["one\ntwo\n", "it's"]),
        ("<<: 1\n__proto__: {$set: 2}\n", [1, {"$set": 2}]),
    ],
)  # fmt: skip
def test_only_true_false_null_and_numbers_of_json_are_no_text(text: str, value: list[Any]) -> None:
    assert list(read_document(text, "x").values()) == value


def test_keys_are_text() -> None:
    assert list(read_document("5: a\ntrue: b\n", "x")) == ["5", "true"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", 'line 3: the key "a" is there twice'),
        ('{"a": 1,\n "b": {"c": 1, "c": 2}}', 'line 2: the key "c" is there twice'),
        ("a: &x 1\n", "line 1: anchors (&) and aliases (*) are not allowed"),
        ("b: 1\na: *x\n", "line 2: anchors"),
        ("a: !!python/object/apply:os.system [ls]\n", "line 1: tags are not allowed: tag:yaml.org,2002:python"),
        ("a: !!str 1\n", "line 1: tags are not allowed"),
        ("a: 1\n---\nb: 2\n", "line 2: a second document begins"),
        ("[1, 2]: a\n", "line 1: a key is a list or an object"),
        ("a: 1\n b: 2\n", "line 2: not YAML or JSON"),
        ("a: 1\nb: \x07\n", "line 2: not YAML or JSON"),
        ("[" * 1000 + "]" * 1000, "line 1: more than 100 objects and lists are inside each other"),
        ("- " * 1000, "line 1: more than 100 objects"),
        ("[" * 200_000, "more than 100 objects"),
        ("a" * (MOST_BYTES + 1), "more than 16 MiB"),
    ],
)
def test_what_is_not_plain_data_is_refused_with_its_line(text: str, problem: str) -> None:
    with pytest.raises(WrongUse) as error:
        read_document(text, "agent.yaml")
    assert error.value.message.startswith("agent.yaml")
    assert problem in error.value.message


@given(CONTENTS)
def test_what_is_printed_reads_back_as_it_was(value: dict[str, Any]) -> None:
    shown = json.loads(as_json(value))
    assert read_document(as_yaml(value), "x") == shown
    assert read_document(as_json(value), "x") == shown
