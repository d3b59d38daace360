"""The awaitable face of ConversationHistory."""

from __future__ import annotations

from collections import deque
from inspect import BoundArguments

from chatstore_cli.aio.calls import Calls
from chatstore_cli.aio.face import Face, awaitable, blocking
from chatstore_cli.aio.thread_manager import StateManager, name_current_thread
from chatstore_cli.core.threads import history
from chatstore_cli.domain.errors import BadValue
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
        """The parameters are those of the synchronous history. Raises BadValue for a synchronous manager."""
        self._open(_History(max_messages, max_tokens, None, persist_to_db))
        self.state_manager = state_manager

    add = awaitable(_History.add_message)
    load_from_db = awaitable(_History.load_from_db)

    add_message = blocking(_History.add_message)
    add_user_message = blocking(_History.add_user_message)
    add_assistant_message = blocking(_History.add_assistant_message)
    add_system_message = blocking(_History.add_system_message)
    add_tool_result = blocking(_History.add_tool_result)

    def get_messages(self, last_n: int | None = None) -> list[Message]:
        """The messages in memory, or the newest `last_n`. None and 0 mean all."""
        return self.synchronous.get_messages(last_n)

    def format_for_prompt(self, include_system: bool = False, last_n: int | None = None) -> str:
        """One line per message: `User: ...`, `Assistant: ...`, `Tool (name): ...`, and `System: ...` if asked for."""
        return self.synchronous.format_for_prompt(include_system, last_n)

    def clear(self) -> None:
        """Empty the memory. Stored messages remain."""
        self.synchronous.clear()

    @property
    def messages(self) -> deque[Message]:
        """The messages in memory."""
        return self.synchronous.messages

    @property
    def max_messages(self) -> int | None:
        """The number of messages that stay in memory."""
        return self.synchronous.max_messages

    @property
    def max_tokens(self) -> int | None:
        """The tokens (characters / 4) that stay in memory."""
        return self.synchronous.max_tokens

    @max_tokens.setter
    def max_tokens(self, tokens: int | None) -> None:
        self.synchronous.max_tokens = tokens

    @property
    def persist_to_db(self) -> bool:
        """Whether messages are stored."""
        return self.synchronous.persist_to_db

    @persist_to_db.setter
    def persist_to_db(self, persist: bool) -> None:
        self.synchronous.persist_to_db = persist

    @property
    def state_manager(self) -> StateManager | None:
        """The manager in whose threads messages are stored."""
        return self._state_manager

    @state_manager.setter
    def state_manager(self, state_manager: StateManager | None) -> None:
        if state_manager is not None and not isinstance(state_manager, StateManager):
            raise BadValue(
                name="state_manager",
                value=f"<{type(state_manager).__name__}>",
                expected="a StateManager of chatstore_cli.aio.threads",
            )
        self._state_manager = state_manager
        self.synchronous.state_manager = None if state_manager is None else state_manager.synchronous

    def __len__(self) -> int:
        return len(self.synchronous)

    def __repr__(self) -> str:
        return repr(self.synchronous)

    def _calls_for(self, bound: BoundArguments) -> Calls:
        manager = self.state_manager
        if manager is None:
            return self._calls
        if self.persist_to_db or "metadata" not in bound.signature.parameters:  # else the message has no thread
            name_current_thread(bound, manager.current_thread_id)
        return manager._calls
