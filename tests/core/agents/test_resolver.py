"""The resolver: its properties for any configuration, the tools and the knowledge base."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore_cli.core.agents.resolver import (
    KNOWLEDGE_BASE_TOOL,
    TOOLS,
    merged_config,
    normalized_tools,
    with_runtime_fields,
)
from tests.support.json_values import CONTENTS, KEYS, SCALARS

ALIKE = st.recursive(
    st.just({}), lambda inner: st.dictionaries(KEYS.map("o".__add__), inner, max_size=3), max_leaves=8
).flatmap(lambda shape: st.tuples(*[st.just(shape)] * 3))
"""Three equal trees of objects."""


@given(CONTENTS, CONTENTS)
def test_merging(stored: dict[str, Any], overrides: dict[str, Any]) -> None:
    """Inputs do not change and are not shared, merging with {} is identity, and every key is the overrides' or stored."""
    before = copy.deepcopy((stored, overrides))
    assert merged_config(stored, {}) == merged_config({}, stored) == merged_config(stored, stored) == stored
    merged = merged_config(stored, overrides)
    assert list(merged) == list(dict.fromkeys((*stored, *overrides)))
    for key in merged:
        if key not in overrides:
            assert merged[key] == stored[key]
        elif not (isinstance(overrides[key], dict) and isinstance(stored.get(key), dict)):
            assert merged[key] == overrides[key]
    _spoil(with_runtime_fields(merged, TOOLS, derived_fields=True))
    _spoil(merged)
    assert (stored, overrides) == before


@given(ALIKE, st.lists(st.lists(SCALARS, max_size=3), min_size=3, max_size=3))
def test_merging_is_associative_where_objects_meet_objects(trees: Any, leaves: list[list[Any]]) -> None:
    one, two, three = (_with_leaves(tree, values) for tree, values in zip(trees, leaves, strict=True))
    assert merged_config(merged_config(one, two), three) == merged_config(one, merged_config(two, three))


def test_objects_are_merged_and_everything_else_is_replaced() -> None:
    stored = {"llm": {"model": "a", "t": 1}, "tools": ["x", "y"], "greeting": "Hi", "o": {"a": 1}}
    overrides = {"llm": {"t": 2}, "tools": ["z"], "greeting": None, "o": [1], "new": {"b": {}}}
    assert merged_config(stored, overrides) == {
        "llm": {"model": "a", "t": 2}, "tools": ["z"], "greeting": None, "o": [1], "new": {"b": {}},
    }  # fmt: skip


ALL = ["get_weather", "search_wikipedia", "add_note", "list_notes", "call_sub_agent"]


@pytest.mark.parametrize(
    ("given", "with_knowledge_base", "expected"),
    [
        (["list_notes", "unknown", "add_note", "list_notes", 5, None], False, ["list_notes", "add_note"]),
        (["*"], False, ALL),
        ([" ALL "], True, [*ALL, KNOWLEDGE_BASE_TOOL]),
        (["add_note", "*", KNOWLEDGE_BASE_TOOL], False, ALL),
        (["add_note"], True, ["add_note", KNOWLEDGE_BASE_TOOL]),
        ([KNOWLEDGE_BASE_TOOL, "add_note"], True, [KNOWLEDGE_BASE_TOOL, "add_note"]),
        ([KNOWLEDGE_BASE_TOOL], False, [KNOWLEDGE_BASE_TOOL]),
        ("*", False, []),
        ("all", True, [KNOWLEDGE_BASE_TOOL]),
        (None, False, []),
        ({"a": 1}, True, [KNOWLEDGE_BASE_TOOL]),
        ([" add_note"], False, []),
    ],
)
def test_tools(given: Any, with_knowledge_base: bool, expected: list[str]) -> None:
    assert normalized_tools(given, TOOLS, with_knowledge_base=with_knowledge_base) == expected


def test_the_fields_of_the_first_version_are_derived_if_the_knowledge_base_is_on() -> None:
    rag = {"enabled": True, "lyzr_rag": {"id": "r"}, "agentic_rag": [{"id": "a"}]}
    resolved = with_runtime_fields({"knowledge_base": rag}, TOOLS, derived_fields=True)
    assert (resolved["lyzr_rag"], resolved["agentic_rag"]) == ({"id": "r"}, [{"id": "a"}])
    resolved = with_runtime_fields({"knowledge_base": {"enabled": True}}, TOOLS, derived_fields=True)
    assert "lyzr_rag" not in resolved
    assert resolved["agentic_rag"] == []
    for config, derived in (({"knowledge_base": rag}, False), ({"knowledge_base": {**rag, "enabled": "yes"}}, True)):
        assert not {"lyzr_rag", "agentic_rag"} & set(with_runtime_fields(config, TOOLS, derived_fields=derived))


def _with_leaves(tree: Any, values: list[Any]) -> Any:
    """The tree, with the values in each object, under keys that no object has."""
    leaves = {f"s{place}": value for place, value in enumerate(values)}
    return {**{key: _with_leaves(item, values) for key, item in tree.items()}, **leaves}


def _spoil(value: Any) -> None:
    """Change every object and list in a value."""
    items = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    for item in list(items):
        _spoil(item)
    if isinstance(value, dict):
        value["spoilt"] = True
    elif isinstance(value, list):
        value.append("spoilt")
