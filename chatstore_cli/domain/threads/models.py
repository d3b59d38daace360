"""Threads and their messages, as an application sees them (docs/library.md).

The fields, their order and their defaults are those of the library fluxibly, which `chatstore_cli.threads` replaces.
Times are in UTC with their zone, in whole milliseconds, which every store keeps.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from chatstore_cli.domain.times import to_milliseconds, utc_now


def stored_now() -> datetime:
    """The present instant in whole milliseconds: MongoDB stores no more, and every store returns the same times."""
    return to_milliseconds(utc_now())


def new_id() -> str:
    """A new id of a thread or a message: a random UUID as text. `uuid4` would take twice as long."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


class Edit(BaseModel):
    """A former content of an edited message, and when it was replaced."""

    content: dict[str, Any]
    edited_at: datetime


class ChatMessage(BaseModel):
    """One stored message of a thread.

    `content` is `{"type": "text", "text": ..., "metadata": {...}}` or any other JSON object. `sequence` orders the messages
    of a thread, begins with 1 and may have gaps. `edits` has the former contents, the oldest first.
    """

    id: str = Field(default_factory=new_id)
    chat_thread_id: str
    sender_id: str | None = None
    sender_role: str
    content: dict[str, Any]
    created_at: datetime = Field(default_factory=stored_now)
    updated_at: datetime = Field(default_factory=stored_now)
    sequence: int = 0
    edits: list[Edit] = Field(default_factory=list)


class ForkedFrom(BaseModel):
    """The thread from which a fork was copied, and the sequence of the last copied message."""

    thread_id: str
    sequence: int


class ChatThread(BaseModel):
    """A session with a name, of one user in one tenant (`org_id`).

    `chat_messages` is empty unless the caller asked for the messages.
    """

    id: str = Field(default_factory=new_id)
    user_id: str
    org_id: str
    name: str
    created_at: datetime = Field(default_factory=stored_now)
    updated_at: datetime = Field(default_factory=stored_now)
    chat_messages: list[ChatMessage] = Field(default_factory=list)
    forked_from: ForkedFrom | None = None


class CreateChatThreadRequest(BaseModel):
    """A thread to create."""

    user_id: str
    org_id: str
    name: str


class CreateChatMessageRequest(BaseModel):
    """A message to add to a thread.

    With a `message_id` (1 to 200 characters) the message is stored once, however often the request is repeated.
    """

    chat_thread_id: str
    sender_id: str | None = None
    sender_role: str
    content: dict[str, Any]
    message_id: str | None = None


class Message(BaseModel):
    """One message of a prompt for a model: role, text and metadata."""

    role: str
    content: str
    metadata: dict[str, Any] = Field(default_factory=dict)
