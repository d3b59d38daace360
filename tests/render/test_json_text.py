"""JSON is exact and safe for any stored value."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from bson import Binary, Decimal128, Int64, ObjectId
from hypothesis import given
from hypothesis import strategies as st

from chatstore_cli.render.json_text import as_json

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_any_json_value_reads_back_as_it_was(value: Any) -> None:
    for indented in (False, True):
        assert json.loads(as_json(value, indented=indented)) == value


@given(st.text())
def test_the_text_has_no_control_characters(text: str) -> None:
    written = as_json({"text": text}, indented=False)

    assert not [
        sign for sign in written if ord(sign) < 0x20 or 0x7F <= ord(sign) < 0xA0 or 0x202A <= ord(sign) <= 0x202E
    ]


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (ObjectId("65e1a0b2c3d4e5f601234567"), "65e1a0b2c3d4e5f601234567"),
        (Decimal128("1.50"), "1.50"),
        (Decimal("1.50"), "1.50"),
        (Binary(b"\x00\xff"), "AP8="),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Int64(7), 7),
        (datetime(2026, 3, 1, tzinfo=UTC), "2026-03-01T00:00:00Z"),
        (datetime(2026, 3, 1), "2026-03-01T00:00:00Z"),  # noqa: DTZ001 - stores hold naive times
        (float("nan"), None),
        (float("inf"), None),
        (2**70, 2**70),
        ("lone \ud800 surrogate", "lone \ud800 surrogate"),
        ({1: "key"}, {"1": "key"}),
        ({"a", "b"}, ["a", "b"]),
    ],
)
@pytest.mark.parametrize(
    "neighbour", ["plain", "\udfff", 2**65], ids=["alone", "beside a surrogate", "beside a large number"]
)
def test_what_json_has_no_type_for_becomes_text(stored: Any, expected: Any, neighbour: Any) -> None:
    """Beside a value that orjson rejects, the other JSON writer must give the same result."""
    assert json.loads(as_json({"stored": stored, "neighbour": neighbour})) == {
        "stored": expected,
        "neighbour": neighbour,
    }
