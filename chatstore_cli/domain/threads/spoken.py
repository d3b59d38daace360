"""Separates the text of a message from its metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Spoken(NamedTuple):
    """A content (a text, or any other JSON object) without its metadata, and the metadata."""

    content: Any
    metadata: dict[str, Any]


def spoken(content: Mapping[str, Any]) -> Spoken:
    """The parts of a message's content. `{"type": "text", "text": ..., "metadata": {...}}` is its text and its metadata."""
    metadata = content.get("metadata")
    if not isinstance(metadata, dict):
        metadata = {}
    rest = {key: value for key, value in content.items() if key != "metadata" or value is not metadata}
    if rest.keys() == {"type", "text"} and rest["type"] == "text" and isinstance(rest["text"], str):
        return Spoken(rest["text"], metadata)
    return Spoken(rest, metadata)
