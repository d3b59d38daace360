"""A message's text or other content, apart from its metadata."""

from __future__ import annotations

from typing import Any

import pytest

from chatstore_cli.domain.threads.spoken import spoken


@pytest.mark.parametrize(
    ("content", "said", "metadata"),
    [
        ({"type": "text", "text": "hi"}, "hi", {}),
        ({"type": "text", "text": "", "metadata": {"a": 1}}, "", {"a": 1}),
        ({"type": "text", "text": ["hi"]}, {"type": "text", "text": ["hi"]}, {}),
        ({"type": "text", "text": "hi", "lang": "en"}, {"type": "text", "text": "hi", "lang": "en"}, {}),
        ({"text": "hi"}, {"text": "hi"}, {}),
        ({"type": "image", "metadata": {"a": 1}}, {"type": "image"}, {"a": 1}),
        ({"type": "text", "text": "hi", "metadata": [1]}, {"type": "text", "text": "hi", "metadata": [1]}, {}),
        ({}, {}, {}),
    ],
)
def test_nothing_is_lost(content: dict[str, Any], said: Any, metadata: dict[str, Any]) -> None:
    assert spoken(content) == (said, metadata)
