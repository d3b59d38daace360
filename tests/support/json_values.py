"""JSON values for property tests: all that a message can hold."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

KEYS = st.one_of(
    st.sampled_from(
        ["", "text", "type", "metadata", "$set", "$", "a.b", ".", "_id", "$ref", "$id", "$oid", "$date", "0"]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4),
)
TEXTS = st.one_of(
    st.sampled_from(
        ["", "\u2028", "🦉", "\U0010ffff", "\ufffe", "e\u0301", "\x1b[31m", "\r\n", "data:image/png;base64,AAAA"]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 0.0, -0.0, 1.0, 1e300, 5e-324]),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=12
)
CONTENTS = st.dictionaries(KEYS, VALUES, max_size=4)
