"""The awaitable face of ConversationHistory."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from inspect import BoundArguments
from typing import Any

from chatstore_cli.aio.calls import Calls
from chatstore_cli.aio.face import Face, awaitable
from chatstore_cli.aio.thread_manager import StateManager, name_current_thread
from chatstore_cli.core.threads import history
from chatstore_cli.domain.threads.models import Message

_History = history.ConversationHistory


class ConversationHistory(Face[history.ConversationHistory]):
    """`chatstore_cli.threads.ConversationHistory` for an event loop.

    `await history.add(role, content, metadata)` stores a message in the manager's current thread while the loop continues.
    The documented `add_message`, `add_user_message`, `add_assistant_message`, `add_system_message` and `add_tool_result`
    are synchronous. With `persist_to_db` they stop the event loop until the message is stored: for one write, and for the
    calls of the manager that were made before and still run. When they return, the message is stored.

    Messages are stored in the order of the calls, and in the thread that is current when the call is made.
    """

    def __init__(
        self,
        max_messages: int | None = None,
        max_tokens: int | None = None,
        state_manager: StateManager | None = None,
        persist_to_db: bool = False,
    ) -> None:
        """The parameters are those of the synchronous history."""
        self.state_manager = state_manager
        core = None if state_manager is None else state_manager.synchronous
        self._open(_History(max_messages, max_tokens, core, persist_to_db))

    add = awaitable(_History.add_message)
    load_from_db = awaitable(_History.load_from_db)

    def add_message(
        self, role: str, content: str, metadata: Mapping[str, Any] | None = None, thread_id: str | None = None
    ) -> None:
        """Add a message. If it is stored, the event loop waits for that. See `add`."""

    def add_user_message(self, content: str, metadata: Mapping[str, Any] | None = None) -> None:
        """Add a message of the role `user`. If it is stored, the event loop waits for that."""
        self.add_message("user", content, metadata)

    def add_assistant_message(self, content: str, metadata: Mapping[str, Any] | None = None) -> None:
        """Add a message of the role `assistant`. If it is stored, the event loop waits for that."""
        self.add_message("assistant", content, metadata)

    def add_system_message(self, content: str, metadata: Mapping[str, Any] | None = None) -> None:
        """Add a message of the role `system`. If it is stored, the event loop waits for that."""
        self.add_message("system", content, metadata)

    def add_tool_result(self, tool_name: str, result: str, metadata: Mapping[str, Any] | None = None) -> None:
        """Add a message of the role `tool`. If it is stored, the event loop waits for that."""
        self.add_message("tool", result, {**(metadata or {}), "tool_name": tool_name})
