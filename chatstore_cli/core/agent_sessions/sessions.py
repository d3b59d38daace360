"""The sessions of a Python agent: the rules over any AgentSessionStore."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chatstore_cli.core.agents.checks import checked_config, checked_key
from chatstore_cli.domain.agent_sessions import OWN_FIELDS, AgentMessage, AgentSession, AgentSessionStore
from chatstore_cli.domain.errors import BadValue, InvalidAgent

MOST_MESSAGES = 1_000
"""Messages in one call."""


class AgentSessions:
    """Reads and writes the sessions of a Python agent and their messages.

    Methods raise InvalidAgent for a wrong value before anything is looked up.
    """

    def __init__(self, store: AgentSessionStore) -> None:
        self._store = store

    def get_session(self, session_id: str, user_id: str, *, agent_id: str | None = None) -> AgentSession:
        """The session with the id. A missing session is created for the user, and only once if several callers ask for it.

        `agent_id` is stored with a new session only. Raises Conflict if the session is another user's.
        """
        agent = None if agent_id is None else checked_key(agent_id)
        return self._store.get_or_create(_id(session_id), checked_key(user_id, "user_id"), agent)

    def save_messages(self, session_id: str, messages: Sequence[Mapping[str, Any]]) -> list[AgentMessage]:
        """Append messages such as `{"role": "user", "content": "Hello"}` in their order. Returns those that were stored.

        A message of the assistant that repeats the last stored message is a retry, and is not stored again. If another
        message was stored in between, it is stored. A message has a `role` and `content`, and any further
        fields. Raises NotFound if the session does not exist.
        """
        if isinstance(messages, str | bytes | Mapping) or not isinstance(messages, Sequence):
            raise InvalidAgent(what="messages: a list of messages is expected")
        if len(messages) > MOST_MESSAGES:
            raise InvalidAgent(what=f"messages: there are more than {MOST_MESSAGES:,}")
        return self._store.append(_id(session_id), [_checked(each, place) for place, each in enumerate(messages)])

    def messages(self, session_id: str, last: int | None = None) -> list[AgentMessage]:
        """The messages of a session in their order: all, or the newest `last`. Raises NotFound if the session does not exist."""
        if last is not None and (isinstance(last, bool) or not isinstance(last, int) or last < 1):
            raise BadValue(name="last", value=last, expected="a whole number from 1")
        return self._store.messages(_id(session_id), last)


def _id(session_id: str) -> str:
    return checked_key(session_id, "session_id")


def _checked(message: Mapping[str, Any], place: int) -> AgentMessage:
    where = f"messages[{place}]"
    given = checked_config(message, where)
    role = given.pop("role", None)
    if not isinstance(role, str) or not role:
        raise InvalidAgent(what=f"{where}: a role is expected, such as user or assistant")
    if "content" not in given:
        raise InvalidAgent(what=f"{where}: it has no content")
    content = given.pop("content")
    for field in given:
        if field in OWN_FIELDS or field.startswith("$") or "." in field:
            raise InvalidAgent(what=f"{where}: {field!r} cannot be a field of a message")
    return AgentMessage(role, content, more=given)
