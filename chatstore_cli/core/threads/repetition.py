"""Decides whether a message with a stored id is a repetition, and makes the conflict if it is not, for every store."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from chatstore_cli.domain.errors import Conflict

if TYPE_CHECKING:
    from chatstore_cli.domain.threads.models import ChatMessage


def is_repetition(stored: ChatMessage, given: ChatMessage) -> bool:
    """Whether a message has the thread, sender, role and content of the stored one.

    If the stored message was edited, a repetition has its present content or the oldest one in `edits`. After at most 20
    edits, that is the content with which the message was added.
    """
    if (stored.chat_thread_id, stored.sender_id, stored.sender_role) != (
        given.chat_thread_id,
        given.sender_id,
        given.sender_role,
    ):
        return False
    contents = [stored.content, *(edit.content for edit in stored.edits[:1])]
    return exact_text(given.content) in map(exact_text, contents)


def exact_text(content: dict[str, Any]) -> str:
    """A text that is equal for equal contents only, because for Python 1, 1.0 and True are equal."""
    return json.dumps(content, sort_keys=True)


def message_exists(message_id: str) -> Conflict:
    """The error for a message that is not a repetition of the stored one of its id."""
    return Conflict(
        what=f"The message {message_id!r} is stored already, with another thread, sender, role or content.",
        hint="Give a new message an id of its own.",
    )


def thread_exists(thread_id: str) -> Conflict:
    """The error for a new thread under the id of a stored one."""
    return Conflict(what=f"A thread with the id {thread_id!r} exists.")
