"""What commands on threads return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from chatstore_cli.domain.quantities import quantity

if TYPE_CHECKING:
    from chatstore_cli.domain.threads.models import ChatMessage, ChatThread

_LONGEST_NAME = 60


class ThreadView(NamedTuple):
    """A thread with its first and last messages, none of them twice."""

    thread: ChatThread
    message_count: int
    first_messages: list[ChatMessage]
    last_messages: list[ChatMessage]


@dataclass(frozen=True)
class ThreadRemoval:
    """The plan to delete one thread with its messages, or only its messages."""

    thread: ChatThread
    messages: int
    messages_only: bool = False

    def __str__(self) -> str:
        thread = self.thread
        name = thread.name if len(thread.name) <= _LONGEST_NAME else f"{thread.name[:_LONGEST_NAME]}…"
        whose = f"{name!r}, user {thread.user_id!r}, tenant {thread.org_id!r}"
        messages = quantity(self.messages, "message")
        if self.messages_only:
            return f"{messages} of thread {thread.id!r} ({whose}) would be deleted. The thread remains."
        return f"Thread {thread.id!r} ({whose}) with {messages} would be deleted."


@dataclass
class AddedLines:
    """Counts the messages that a file added to a thread, with their sequences and the last stored line."""

    messages: int = 0
    first_sequence: int | None = None
    last_sequence: int | None = None
    last_line: int = 0

    def count(self, stored: list[ChatMessage], last_line: int) -> None:
        """Count messages that were stored."""
        self.messages += len(stored)
        self.first_sequence = stored[0].sequence if self.first_sequence is None else self.first_sequence
        self.last_sequence, self.last_line = stored[-1].sequence, last_line

    @property
    def in_words(self) -> str:
        """How far the lines are stored, and how to continue."""
        if not self.last_line:
            return "No message is known to be stored. If every line has a message_id, run the command again."
        return (
            f"Lines 1 to {self.last_line:,} are stored ({quantity(self.messages, 'message')}). "
            "If every line has a message_id, run the command again. If not, remove these lines from the file first."
        )
