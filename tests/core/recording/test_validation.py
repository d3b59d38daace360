"""What may be recorded: anything that JSON and BSON both hold comes back as it went in, the rest is refused by name."""

from __future__ import annotations

import enum
import json
import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import bson
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore_cli.core.recording.validation import (
    MAX_METADATA_DEPTH,
    canonical_time,
    check_role_and_text,
    storable_metadata,
)
from chatstore_cli.domain.errors import BadValue
from tests.support.journals import START

LATEST, EARLIEST = datetime.max, datetime.min  # noqa: DTZ901 - naive ones are meant
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


class Colour(str, enum.Enum):  # noqa: UP042 - the older way, whose str() is the member's name
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Share(float):
    pass


@given(st.dictionaries(KEYS, JSON, max_size=5))
def test_any_json_object_is_kept_as_it_is_and_both_encodings_hold_it(metadata: dict[str, Any]) -> None:
    kept = storable_metadata(metadata)
    assert kept == metadata
    assert orjson.loads(orjson.dumps(kept)) == metadata
    assert bson.decode(bson.encode(kept)) == metadata


def test_what_the_caller_changes_afterwards_is_not_recorded() -> None:
    given_ = {"tags": ["a"], "more": {"deep": [1, {"x": 2}]}}
    kept = storable_metadata(given_)
    given_["tags"].append("b")
    given_["more"]["deep"][1]["x"] = 3
    assert kept == {"tags": ["a"], "more": {"deep": [1, {"x": 2}]}}


@pytest.mark.parametrize(
    ("metadata", "kept"),
    [
        (None, {}),
        ({}, {}),
        ({"a": (1, 2)}, {"a": [1, 2]}),
        ({"a": Colour.RED, Colour.RED: 1}, {"a": "red", "red": 1}),
        ({"a": Level.HIGH, "b": True}, {"a": 3, "b": True}),
        ({"a": Share(0.5)}, {"a": 0.5}),
        ({"$where": "1", "a.b": 1, "": 2}, {"$where": "1", "a.b": 1, "": 2}),
        ({"a": -0.0, "b": 2**63 - 1, "c": -(2**63)}, {"a": -0.0, "b": 2**63 - 1, "c": -(2**63)}),
        ({"a": "x\0y"}, {"a": "x\0y"}),
    ],
)
def test_what_stands_for_json_becomes_it(metadata: Any, kept: dict[str, Any]) -> None:
    made = storable_metadata(metadata)
    assert json.dumps(made) == json.dumps(kept)
    assert all(type(key) is str for key in made)
    assert {type(value) for value in made.values()} <= {str, int, bool, float, list, dict}


def _containing_itself() -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    metadata["self"] = metadata
    return metadata


def _nested(levels: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    for _ in range(levels - 1):
        metadata = {"n": metadata}
    return metadata


@pytest.mark.parametrize(
    ("metadata", "name"),
    [
        pytest.param([], "metadata", id="a list"),
        pytest.param("x", "metadata", id="text"),
        pytest.param({"a": math.nan}, "metadata.a", id="NaN"),
        pytest.param({"a": [0, -math.inf]}, "metadata.a[1]", id="infinity"),
        pytest.param({"a": {"b": 2**63}}, "metadata.a.b", id="an integer too large"),
        pytest.param({"a": -(2**63) - 1}, "metadata.a", id="an integer too small"),
        pytest.param({"a": datetime.now(UTC)}, "metadata.a", id="a datetime"),
        pytest.param({"a": b"x"}, "metadata.a", id="bytes"),
        pytest.param({"a": Decimal("1")}, "metadata.a", id="a decimal"),
        pytest.param({"a": {1, 2}}, "metadata.a", id="a set"),
        pytest.param({"a": object()}, "metadata.a", id="an object"),
        pytest.param({"a": {1: 2}}, "a key of metadata.a", id="a key that is no text"),
        pytest.param({None: 2}, "a key of metadata", id="a key that is None"),
        pytest.param({"a": [{"x\0y": 1}]}, "a key of metadata.a[0]", id="a key with NUL"),
        pytest.param({"a": [{"\ud800": 1}]}, "a key of metadata.a[0]", id="a key with a lone surrogate"),
        pytest.param({"a": ["ok", "x\udfff"]}, "metadata.a[1]", id="a lone surrogate"),
        pytest.param(_containing_itself(), "metadata" + ".self" * 38, id="itself"),
        pytest.param(_nested(MAX_METADATA_DEPTH + 1), None, id="nested too deep"),
    ],
)
def test_what_is_no_json_is_refused_and_its_place_named(metadata: Any, name: str | None) -> None:
    with pytest.raises(BadValue) as error:
        storable_metadata(metadata)
    if name is not None:
        assert str(error.value.facts["name"]).startswith(name)
    assert "\n" not in error.value.message
    assert len(error.value.message) < 500


def test_the_deepest_metadata_is_taken() -> None:
    metadata = _nested(MAX_METADATA_DEPTH)
    assert storable_metadata(metadata) == metadata
    assert bson.decode(bson.encode(metadata)) == metadata


@pytest.mark.parametrize("role", ["", "User", "bot", "function", None, 1, ["user"], Colour.RED, {"user"}])
def test_another_role_is_refused(role: object) -> None:
    with pytest.raises(BadValue, match=r"role: .* is not one of assistant, system, tool, user\."):
        check_role_and_text(role, "x")


@pytest.mark.parametrize("text", [None, 1, b"x", ["x"], {"text": "x"}, ""])
def test_what_is_no_text_is_refused(text: object) -> None:
    with pytest.raises(BadValue, match=r"^text: "):
        check_role_and_text("user", text)


@pytest.mark.parametrize(
    ("given_", "canonical"),
    [
        (START.replace(tzinfo=None), "2026-03-02T11:41:00.195769+00:00"),
        (datetime(2026, 3, 2, 11, 41, tzinfo=timezone(timedelta(hours=5, minutes=30))), "2026-03-02T06:11:00.000000+00:00"),
        ("2026-03-02T11:41:00Z", "2026-03-02T11:41:00.000000+00:00"),
        ("2026-03-02 11:41:00.5", "2026-03-02T11:41:00.500000+00:00"),
        ("2026-03-02", "2026-03-02T00:00:00.000000+00:00"),
        ("20260302T114100-0100", "2026-03-02T12:41:00.000000+00:00"),
        (LATEST, "9999-12-31T23:59:59.999999+00:00"),
        (EARLIEST, "0001-01-01T00:00:00.000000+00:00"),
    ],
)  # fmt: skip
def test_an_instant_is_brought_into_its_one_form(given_: object, canonical: str) -> None:
    assert canonical_time(given_) == canonical


@pytest.mark.parametrize(
    "given_",
    [
        "",
        "yesterday",
        "2026-13-01",
        "1772451660",
        0,
        1772451660.5,
        True,
        b"2026-03-02",
        START.date(),
        LATEST.replace(tzinfo=timezone(timedelta(hours=-1))),
        EARLIEST.replace(tzinfo=timezone(timedelta(hours=1))),
    ],
)
def test_what_is_no_instant_is_refused(given_: object) -> None:
    with pytest.raises(BadValue, match=r"^created_at: .* is not a datetime, or ISO 8601 text\.$"):
        canonical_time(given_)
