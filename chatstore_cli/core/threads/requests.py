"""Makes requests to the repository of the arguments of StateManager's methods.

The repository checks the values, and its errors name their path. So this module does not check them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatstore_cli.domain.errors import InvalidThreadData
from chatstore_cli.domain.json_types import type_in_words
from chatstore_cli.domain.threads.models import CreateChatMessageRequest

_KEYS = frozenset({"role", "content", "sender_id", "metadata", "message_id"})


def message_request(
    thread_id: str,
    role: str,
    content: str | Mapping[str, Any],
    sender_id: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    message_id: str | None = None,
) -> CreateChatMessageRequest:
    """The request for one message."""
    return CreateChatMessageRequest.model_construct(
        chat_thread_id=thread_id,
        sender_id=sender_id,
        sender_role=role,
        content=content_of(content, metadata),
        message_id=message_id,
    )


def content_of(content: str | Mapping[str, Any], metadata: Mapping[str, Any] | None) -> Any:
    """The content with its metadata. The caller's objects stay as they are."""
    whole = {"type": "text", "text": content} if isinstance(content, str) else content
    return {**whole, "metadata": metadata} if metadata and isinstance(whole, Mapping) else whole


def parameters_of(message: object, number: int) -> dict[str, Any]:
    """The parameters of `message_request` in one of the mappings that are passed to `add_messages`."""
    if not isinstance(message, Mapping):
        raise InvalidThreadData(what=f"messages[{number}]: a mapping is expected, not {type_in_words(message)}.")
    unknown = sorted(map(repr, message.keys() - _KEYS))
    missing = sorted(map(repr, {"role", "content"} - message.keys()))
    if unknown or missing:
        problem = f"the key {unknown[0]} is not known" if unknown else f"the key {missing[0]} is missing"
        raise InvalidThreadData(what=f"messages[{number}]: {problem}.")
    return dict(message)
