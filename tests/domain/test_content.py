"""The text of a value."""

from __future__ import annotations

from chatstore_cli.domain.content import json_text


def test_a_value_nested_deeper_than_any_database_stores_is_cut_with_a_note() -> None:
    deep: object = "end"
    for _ in range(900):
        deep = {"a": deep}
    text = json_text(deep)
    assert text.count('{"a":') == 200
    assert '"(nested too deep to be shown)"' in text
