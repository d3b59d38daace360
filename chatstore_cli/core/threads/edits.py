"""Applies an edit to a message, for every store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chatstore_cli.core.threads.checks import size_of
from chatstore_cli.core.threads.repetition import exact_text
from chatstore_cli.domain.errors import InvalidThreadData
from chatstore_cli.domain.threads.models import ChatMessage, Edit

if TYPE_CHECKING:
    from datetime import datetime

MOST_EDITS = 20
"""Former contents that a message keeps: the newest ones."""
MAX_MESSAGE_BYTES = 15 * 1024 * 1024
"""Size of a message's content together with its former contents. MongoDB rejects documents over 16 MiB."""


def edited(message: ChatMessage, content: dict[str, Any], edited_at: datetime) -> ChatMessage:
    """The message with a new content, and with its former content in `edits`.

    It keeps the newest 20 former contents, or fewer if they are too large. Raises InvalidThreadData if even the last one is
    too large together with the new content. If the content does not change, the message itself is returned.
    """
    if exact_text(message.content) == exact_text(content):
        return message
    edits = [*message.edits, Edit(content=message.content, edited_at=edited_at)][-MOST_EDITS:]
    room = MAX_MESSAGE_BYTES - size_of(content)
    sizes = [size_of(edit.content) for edit in edits]
    while sum(sizes) > room:
        if len(edits) == 1:
            limit = f"{MAX_MESSAGE_BYTES >> 20} MiB"
            raise InvalidThreadData(
                what=f"content: it exceeds {limit} together with the former content, which an edit keeps."
            )
        del edits[0], sizes[0]
    return message.model_copy(update={"content": content, "updated_at": edited_at, "edits": edits})
