"""Paths into configurations: they are written as they are shown, and change one value."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from chatstore_cli.core.agents.paths import (
    parsed_assignment,
    parsed_path,
    path_text,
    set_value,
    unset_value,
    values_by_path,
)
from chatstore_cli.core.agents.resolver import copied
from chatstore_cli.domain.errors import WrongUse
from tests.support.json_values import CONTENTS


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("engine.llm", ("engine", "llm")),
        ("tools[12].name", ("tools", 12, "name")),
        ('headers["a.b"]["="]', ("headers", "a.b", "=")),
        ('["__proto__"].$set', ("__proto__", "$set")),
        ('a["\\"]"]', ("a", '"]')),
    ],
)
def test_a_path_has_keys_and_indexes(text: str, path: tuple[str | int, ...]) -> None:
    assert parsed_path(text, "--unset") == path
    assert parsed_assignment(f"{text}=a=b", "--set") == (path, "a=b")
    assert parsed_path(path_text(path), "--unset") == path


@pytest.mark.parametrize(
    "text", ["", ".", "a.", ".a", "a..b", "[0]", "a[-1]", "a[01]", 'a["b', "a[b]", "a]", ".".join("a" * 200)]
)
def test_what_is_not_a_path_is_refused(text: str) -> None:
    with pytest.raises(WrongUse, match="not a path"):
        parsed_path(text, "--unset")


@pytest.mark.parametrize("text", ["api_key", "api_key:hidden", "api_key[hidden", "api_key hidden", "a..b=hidden"])
def test_an_assignment_needs_an_equals_sign_and_its_error_shows_no_value(text: str) -> None:
    with pytest.raises(WrongUse, match="not PATH=VALUE") as error:
        parsed_assignment(text, "--set")
    assert "hidden" not in str(error.value)


def test_objects_and_new_places_of_lists_are_made() -> None:
    config: dict[str, Any] = {"tools": ["x"]}
    for path, value in (("engine.a.b", 1), ("tools[1]", "y"), ("list[0].name", "z")):
        set_value(config, parsed_path(path, "--set"), value, "--set")
    assert config == {"tools": ["x", "y"], "engine": {"a": {"b": 1}}, "list": [{"name": "z"}]}
    unset_value(config, ("tools", 0), "--unset")
    unset_value(config, ("engine", "a", "b"), "--unset")
    assert (config["tools"], config["engine"]) == (["y"], {"a": {}})


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("tools[3]", "the list has 1 values"),
        ("tools.x", "a key of an object, but the value above it is a list"),
        ("name.x", "a key of an object, but the value above it is a single value"),
        ("engine[0]", "an index of a list, but the value above it is an object"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(path: str, problem: str) -> None:
    config = {"tools": ["x"], "name": "n", "engine": {}}
    with pytest.raises(WrongUse, match=problem):
        set_value(config, parsed_path(path, "--set"), 1, "--set")
    with pytest.raises(WrongUse, match="--unset"):
        unset_value(config, parsed_path(path, "--unset"), "--unset")
    with pytest.raises(WrongUse, match="no such value"):
        unset_value(config, ("engine", "llm"), "--unset")


@given(CONTENTS)
def test_every_value_is_set_to_itself_under_the_path_that_is_shown(config: dict[str, Any]) -> None:
    before = copied(config)
    for text, value in values_by_path(config):
        set_value(config, parsed_path(text, "--set"), value, "--set")
    assert config == before
