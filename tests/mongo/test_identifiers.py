"""Ids as text: a text that is shown for a stored id finds this id again."""

from __future__ import annotations

from typing import Any

import pytest
from bson import Decimal128, ObjectId
from hypothesis import given
from hypothesis import strategies as st

from chatstore_cli.mongo.identifiers import addressable_id, id_text, id_values


def plain(value: Any) -> Any:
    """A value that Python compares as MongoDB does: equal numbers are equal, whatever their type."""
    return value.to_decimal() if isinstance(value, Decimal128) else value


numbers = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**63), 2**63 - 1).map(float),
)
decimals = st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**20), max_value=10**20).map(
    Decimal128
)


@given(st.one_of(st.text(), numbers, decimals, st.binary(min_size=12, max_size=12).map(ObjectId)))
def test_the_text_of_an_id_finds_the_id(stored: Any) -> None:
    text = addressable_id(stored)

    assert text is not None
    assert text == id_text(stored)
    assert any(plain(value) == plain(stored) for value in id_values(text)) or isinstance(stored, str)
    assert [id_text(value) for value in id_values(text)] == [text] * len(id_values(text))


@pytest.mark.parametrize("stored", [42, 42.0, Decimal128("42"), Decimal128("42.0"), Decimal128("4.2E+1")])
def test_a_whole_number_of_any_type_is_its_integer(stored: Any) -> None:
    assert addressable_id(stored) == "42"


@pytest.mark.parametrize("text", ["042", "42.0", "4.2e1", "-0", " 42", "0x10", "1_0", "\u0664\u0662"])
def test_a_text_that_is_no_stored_numbers_text_finds_only_itself(text: str) -> None:
    assert id_values(text) == [text]
