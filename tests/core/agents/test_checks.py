"""Which values a saved agent can have, and the documented messages for others."""

from __future__ import annotations

import datetime
from typing import Any

import bson
import pytest
from hypothesis import given

from chatstore_cli.core.agents import checks
from chatstore_cli.core.agents.checks import (
    MAX_CONFIG_BYTES,
    MAX_LEVELS,
    checked_agent_id,
    checked_config,
    checked_description,
    checked_name,
    checked_owner,
    checked_version_id,
)
from chatstore_cli.core.agents.versions import VersionFacts, newest_first, places_to_keep
from chatstore_cli.domain.agents.models import AgentCursor
from chatstore_cli.domain.errors import BadValue, InvalidAgent
from tests.support.json_values import CONTENTS


@pytest.mark.parametrize(
    "agent_id", ["", "x", "a" * 23, "a" * 25, "g" * 24, " " + "a" * 24, "a" * 24 + "\n", None, 5, b"a" * 24]
)
def test_ids_that_are_not_24_hexadecimal_digits(agent_id: Any) -> None:
    with pytest.raises(InvalidAgent, match=r"^agentId must be a valid Mongo ObjectId$"):
        checked_agent_id(agent_id)


def test_an_id_is_found_in_either_case() -> None:
    assert checked_agent_id("ABCDEFabcdef012345678901") == "abcdefabcdef012345678901"


@pytest.mark.parametrize(
    "version_id", ["", "1", None, "3f0b8e9a6d544f2d9a520a1f3b5c7d9e", "{3f0b8e9a-6d54-4f2d-9a52-0a1f3b5c7d9e}"]
)
def test_version_ids(version_id: Any) -> None:
    with pytest.raises(InvalidAgent, match=r"^versionId must be a valid UUID$"):
        checked_version_id(version_id)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "name is required"),
        (" \t\u00a0\ufeff", "Agent name cannot be empty"),
        ("x" * 129, "name must be 128 characters or less"),
        (None, "name: a text is expected, not null"),
        ("\ud800", "name: the text has a lone surrogate"),
    ],
)
def test_names(name: Any, message: str) -> None:
    with pytest.raises(InvalidAgent) as caught:
        checked_name(name)
    assert caught.value.message == message


def test_a_name_is_trimmed_and_nothing_else() -> None:
    assert checked_name("\ufeff\n A  b\t c \u2003") == "A  b\t c"
    assert checked_name("\x1c" + "x" * 127) == "\x1c" + "x" * 127  # `trim()` keeps it, `strip()` would not
    assert checked_name(" " * 200 + "x" * 128) == "x" * 128


def test_descriptions() -> None:
    assert checked_description(None) is None
    assert checked_description(" d ") == " d "
    with pytest.raises(InvalidAgent, match=r"description must be 2,048 characters or less"):
        checked_description("x" * 2_049)


def test_an_empty_tenant_is_not_the_operator() -> None:
    assert checked_owner(None, "tenant_id") is None
    with pytest.raises(InvalidAgent, match="tenant_id is required"):
        checked_owner("", "tenant_id")


def nested(levels: int, *, in_lists: bool = False) -> dict[str, Any]:
    """A configuration with that many levels."""
    value: Any = [] if in_lists else {}
    for _ in range(levels - 2):
        value = [value] if in_lists else {"a": value}
    return {"a": value}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (nested(MAX_LEVELS + 1), "more than 100 levels"),
        (nested(1_000), "more than 100 levels"),
        (nested(900, in_lists=True), "more than 100 levels"),
        ({"a\0b": 1}, r'config: the key "a\\u0000b" has NUL'),
        ({"o": {"\ud800": 1}}, r"config\.o: the key .* lone surrogate"),
        ({"a b": ["\ud800"]}, r'config\["a b"\]\[0\]: the text has a lone surrogate'),
        ({"n": 2**63}, "beyond 64 bits"),
        ({1: 2}, "the key 1 is not a text"),
        ({"d": datetime.date(2026, 1, 1)}, r"config\.d: a JSON value is expected, not date"),
        ({"s": {1, 2}}, "a JSON value is expected, not set"),
        ([], "an object is expected, not a list"),
        (None, "an object is expected, not null"),
        ("*", "an object is expected, not a text"),
    ],
)
def test_configurations_that_cannot_be_stored(config: Any, message: str) -> None:
    with pytest.raises(InvalidAgent, match=message):
        checked_config(config)


def test_odd_keys_are_plain_keys() -> None:
    config = {"__proto__": {"polluted": True}, "$set": {"$where": 1}, "a.b": 1, "": 2, "constructor": None, "_id": 3}
    assert checked_config(config) == config
    assert checked_config(nested(MAX_LEVELS)) == nested(MAX_LEVELS)


@given(CONTENTS)
def test_every_json_object_is_a_configuration_of_the_size_of_its_bson(config: dict[str, Any]) -> None:
    walk = checks._Walk("configuration")
    copy = walk.copy_of_object(config, 1)
    assert copy == checked_config(config) == config
    assert walk._size == len(bson.encode(copy))


def test_a_configuration_of_17_mib_is_rejected() -> None:
    piece = "x" * (1024 * 1024 - 10)
    assert checked_config({str(number): piece for number in range(12)})
    with pytest.raises(InvalidAgent, match=r"^config\.12: the configuration exceeds 12 MiB here\.$"):
        checked_config({str(number): piece for number in range(17)})
    assert MAX_CONFIG_BYTES == 12 * 1024 * 1024


# --- versions and positions -------------------------------------------------------------------------------------------


def facts(*sizes: int, active: int) -> list[VersionFacts]:
    """Versions of these sizes, one a day."""
    day = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)
    return [
        VersionFacts(place == active, day + datetime.timedelta(days=place), size) for place, size in enumerate(sizes)
    ]


def test_the_newest_versions_stay_with_the_active_one() -> None:
    assert places_to_keep(facts(*[1] * 103, active=102), 0) == list(range(3, 103))
    assert places_to_keep(facts(*[1] * 103, active=0), 0) == [0, *range(4, 103)]
    assert places_to_keep(facts(5, 5, 5, active=2), 4, most_bytes=14) == [1, 2]
    assert places_to_keep(facts(1, 50, 5, active=2), 4, most_bytes=14) == [2]  # not [0, 2]: an older one would stay
    assert places_to_keep(facts(5, 500, active=1), 4, most_bytes=14) == [1]
    assert places_to_keep([], 0) == []


def test_versions_without_a_time_are_the_oldest() -> None:
    day = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)
    assert newest_first([day, None, day, None]) == [2, 0, 3, 1]


@pytest.mark.parametrize("cursor", [AgentCursor(0, "a" * 24), AgentCursor(None, "0" * 24), AgentCursor(-5, "b" * 24)])
def test_a_position_is_read_from_its_text(cursor: AgentCursor) -> None:
    assert AgentCursor.from_text(cursor.to_text()) == cursor


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "AAAA",
        "WzEsMl0",
        "W3RydWUsImFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYSJd",
        "WyIxIiwiYSJd",
        "\ud800",
        "W10",
        "bnVsbA",
    ],
)
def test_other_texts_are_no_positions(text: str) -> None:
    with pytest.raises(BadValue, match="next_cursor"):
        AgentCursor.from_text(text)
