"""ConversationHistory: the messages of a prompt in memory, which are also stored in a thread with `persist_to_db`."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from threading import Lock
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from chatstore_cli.domain.errors import InvalidThreadData
from chatstore_cli.domain.threads.models import Message

if TYPE_CHECKING:
    from chatstore_cli.core.threads.manager import StateManager

LOG = logging.getLogger("chatstore.threads")

_CHARACTERS_PER_TOKEN = 4
_SPEAKERS = {"user": "User", "assistant": "Assistant", "system": "System"}


class ConversationHistory:
    """The newest messages of a conversation, for a prompt.

    With `persist_to_db` and a `state_manager`, each message is stored in the manager's current thread before it is added to
    memory. If it cannot be stored, the call raises the error, and the message is not in memory either. Without a manager,
    nothing is stored, and a warning is logged.

    `max_messages` and `max_tokens` (characters / 4) limit the messages in memory. The oldest are dropped, but `max_tokens`
    keeps at least one. Stored messages are not deleted.

    Methods are safe for several operating system threads. Messages are stored in the order that they have in memory.

    Differences from fluxibly: fluxibly stores in the background, only logs a failure, and loses messages that are not stored
    when the event loop ends. Its `load_from_db` logs every error, returns and ignores `max_tokens`.
    """

    def __init__(
        self,
        max_messages: int | None = None,
        max_tokens: int | None = None,
        state_manager: StateManager | None = None,
        persist_to_db: bool = False,
    ) -> None:
        self.messages: deque[Message] = deque(maxlen=max_messages)
        self.max_messages = max_messages
        self.max_tokens = max_tokens
        self.state_manager = state_manager
        self.persist_to_db = persist_to_db
        self._adding = Lock()
        """Held while a message is stored and put into memory, so that both have one order."""
        self._memory = Lock()
        """Held while `messages` is read or changed, so that nobody waits for the database to read."""

    def add_message(
        self, role: str, content: str, metadata: Mapping[str, Any] | None = None, thread_id: str | None = None
    ) -> None:
        """Add a message. It is stored in the thread of that id, by default in the manager's current one.

        The caller's metadata are copied. Raises what StateManager's `add_message` raises.
        """
        try:
            message = Message(role=role, content=content, metadata=dict(metadata or {}))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise InvalidThreadData(what=f"{'.'.join(map(str, first['loc']))}: {first['msg']}.") from None
        with self._adding:
            self._store(message, thread_id)
            with self._memory:
                self.messages.append(message)
                self._trim()

    def add_user_message(
        self, content: str, metadata: Mapping[str, Any] | None = None, thread_id: str | None = None
    ) -> None:
        """Add a message of the role `user`, as `add_message` does."""
        self.add_message("user", content, metadata, thread_id)

    def add_assistant_message(
        self, content: str, metadata: Mapping[str, Any] | None = None, thread_id: str | None = None
    ) -> None:
        """Add a message of the role `assistant`, as `add_message` does."""
        self.add_message("assistant", content, metadata, thread_id)

    def add_system_message(
        self, content: str, metadata: Mapping[str, Any] | None = None, thread_id: str | None = None
    ) -> None:
        """Add a message of the role `system`, as `add_message` does."""
        self.add_message("system", content, metadata, thread_id)

    def add_tool_result(
        self,
        tool_name: str,
        result: str,
        metadata: Mapping[str, Any] | None = None,
        thread_id: str | None = None,
    ) -> None:
        """Add a message of the role `tool`, with `tool_name` in its metadata, as `add_message` does."""
        self.add_message("tool", result, {**(metadata or {}), "tool_name": tool_name}, thread_id)

    def get_messages(self, last_n: int | None = None) -> list[Message]:
        """The messages in memory, or the newest `last_n`. None and 0 mean all."""
        with self._memory:
            messages = list(self.messages)
        return messages[-last_n:] if last_n else messages

    def format_for_prompt(self, include_system: bool = False, last_n: int | None = None) -> str:
        """One line per message: `User: ...`, `Assistant: ...`, `Tool (name): ...`, and `System: ...` if asked for.

        Messages of other roles are left out, as in fluxibly.
        """
        lines = (_line(message, include_system) for message in self.get_messages(last_n))
        return "\n".join(line for line in lines if line is not None)

    def clear(self) -> None:
        """Empty the memory. Stored messages remain."""
        with self._memory:
            self.messages.clear()

    def load_from_db(self, thread_id: str | None = None) -> None:
        """Replace the messages in memory by those of a thread (the current one by default), within the limits.

        If the thread does not exist, the memory is empty afterwards. Raises NoActiveThread, Unreachable and NotAllowed, and
        the memory does not change then. Without a manager it logs a warning and changes nothing.
        """
        manager = self.state_manager
        if manager is None:
            LOG.warning("[CHAT THREADS] A conversation was not loaded, because its history has no state_manager.")
            return
        with self._adding:
            stored = manager.get_messages(thread_id, limit=self.max_messages, newest=True)
            loaded = manager.convert_to_conversation_messages(stored)
            with self._memory:
                self.messages.clear()
                self.messages.extend(loaded)
                self._trim()

    def __len__(self) -> int:
        return len(self.messages)

    def __repr__(self) -> str:
        return f"ConversationHistory(messages={len(self)}, max_messages={self.max_messages})"

    def _store(self, message: Message, thread_id: str | None) -> None:
        if not self.persist_to_db:
            return
        if self.state_manager is None:
            LOG.warning("[CHAT THREADS] A message was not stored, because its history has no state_manager.")
            return
        self.state_manager.add_message(message.role, message.content, thread_id, metadata=message.metadata)

    def _trim(self) -> None:
        """Drop the oldest messages until the rest is within `max_tokens`."""
        if self.max_tokens is None:
            return
        characters = sum(len(message.content) for message in self.messages)
        while len(self.messages) > 1 and characters > self.max_tokens * _CHARACTERS_PER_TOKEN:
            characters -= len(self.messages.popleft().content)


def _line(message: Message, include_system: bool) -> str | None:
    if message.role == "tool":
        return f"Tool ({message.metadata.get('tool_name', 'unknown')}): {message.content}"
    if message.role == "system" and not include_system:
        return None
    speaker = _SPEAKERS.get(message.role)
    return None if speaker is None else f"{speaker}: {message.content}"
