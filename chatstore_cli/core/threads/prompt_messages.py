"""Stored messages as the messages of a prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chatstore_cli.domain.content import text_of_part
from chatstore_cli.domain.media import media_of
from chatstore_cli.domain.threads.models import Message

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chatstore_cli.domain.threads.models import ChatMessage

_PARTS_KEYS = ("text", "parts", "content")
"""The keys under which applications keep a list of parts."""


def prompt_messages(messages: Iterable[ChatMessage]) -> list[Message]:
    """The role, text and metadata of each message."""
    return [
        Message(role=message.sender_role, content=text_of(message.content), metadata=_metadata_of(message.content))
        for message in messages
    ]


def text_of(content: dict[str, Any]) -> str:
    """The text of a content: its `text`, or one line for each part that has text or is a picture, sound or file.

    A picture, sound or file becomes its type and size in brackets. Any other content has an empty text.
    """
    text = content.get("text")
    if isinstance(text, str):
        return text
    parts = next((content[key] for key in _PARTS_KEYS if isinstance(content.get(key), list)), [content])
    return "\n".join(line for line in map(_line_of, parts) if line is not None)


def _line_of(part: Any) -> str | None:
    text = text_of_part(part)
    if text is not None:
        return text
    media = media_of(part)
    return None if media is None else media.as_text()


def _metadata_of(content: dict[str, Any]) -> dict[str, Any]:
    metadata = content.get("metadata")
    return metadata if isinstance(metadata, dict) else {}
