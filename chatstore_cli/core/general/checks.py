"""Checks the arguments of calls on general chats, and makes the messages that are stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatstore_cli.domain.errors import InvalidGeneralChat
from chatstore_cli.domain.general import GeneralChat, GeneralMessage
from chatstore_cli.domain.json_types import type_in_words
from chatstore_cli.domain.message import GENERAL_AGENT
from chatstore_cli.domain.storable_values import Alterations, storable_value

MOST_LISTED = 200
MOST_MESSAGES = 2_000
_USER, _ASSISTANT = "user", "assistant"


def new_message(
    chat: GeneralChat,
    event_id: str,
    *,
    role: object,
    content: object,
    user_id: str | None,
    metadata: Mapping[str, Any],
    alterations: Alterations,
) -> GeneralMessage:
    """A message for a chat.

    A role other than `user` and `assistant` becomes `assistant`. The metadata has `source`, `ui_context`, `workflows`,
    `general_chat_id`, `general_chat_label` and `user_id` first, and then the caller's other keys. A key of the caller
    replaces the default. Values that cannot be stored are replaced, which `alterations` notes.
    """
    role = _USER if role == _USER else _ASSISTANT
    owner = chat.user_id if user_id is None else user_id
    given = storable_value(metadata, alterations)
    defaults: dict[str, Any] = {
        "source": GENERAL_AGENT,
        "ui_context": {},
        "workflows": [],
        "general_chat_id": chat.chat_id,
        "general_chat_label": chat.label,
        **({} if owner is None else {"user_id": owner}),
    }
    names = (given.get(name) for name in ("agent_name", "agent"))
    agent = next((name for name in names if isinstance(name, str) and name), _ASSISTANT)
    return GeneralMessage(
        role=role,
        content=storable_value(str(content), alterations),
        agent_name=_USER if role == _USER else agent,
        event_id=event_id,
        metadata={**defaults, **given},
    )


def checked_metadata(metadata: object) -> Mapping[str, Any]:
    """The caller's metadata, empty for None. Raises InvalidGeneralChat."""
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise InvalidGeneralChat(what=f"metadata: a mapping is expected, not {type_in_words(metadata)}.")
    return metadata


def checked_number(value: object, name: str) -> int:
    """A limit or a sequence. Raises InvalidGeneralChat."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidGeneralChat(what=f"{name}: a whole number is expected, not {type_in_words(value)}.")
    return value
