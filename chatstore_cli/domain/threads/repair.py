"""What can be wrong with stored threads, and the port that finds and corrects it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime


class StoredThread(NamedTuple):
    """The id of a thread, and its stored `last_sequence`: None if the document is not a thread, which is not compared."""

    thread_id: str
    last_sequence: int | None


class HighestSequence(NamedTuple):
    """The highest sequence of the messages that name a thread; None if the stored value is not a number."""

    thread_id: str
    sequence: int | None


class OrphanedMessages(NamedTuple):
    """Messages of a thread that does not exist: their number, and how many may belong to a running fork or import."""

    messages: int
    recent: int


class ThreadProblem(StrEnum):
    """What is wrong with a thread."""

    NO_THREAD = "no_thread"
    """Messages are stored without their thread. A killed process left them."""
    SEQUENCE_BEHIND = "sequence_behind"
    """Its `last_sequence` is below the sequence of its newest message."""


@dataclass(frozen=True, slots=True)
class ThreadFault:
    """One problem of one thread. With NO_THREAD, `messages` is how many would be removed."""

    thread_id: str
    problem: ThreadProblem
    messages: int = 0
    last_sequence: int | None = None
    highest_sequence: int | None = None


class ThreadRepairs(Protocol):
    """Threads and their messages in one database, for finding and correcting what is wrong. Reads what writers see.

    Ids are ordered byte by byte. `before` is an instant by the server's clock.
    """

    threads: str
    """The name of the collection or table of threads."""
    messages: str
    """The name of the collection or table of messages."""

    def exist(self) -> bool:
        """Whether threads or messages can be stored already."""

    def require_comparable(self) -> None:
        """Raise unless threads can be compared with their messages.

        Raises ForeignCollection if most documents are another product's, and UnsuitableCollection if the messages have no
        unique index on thread and sequence.
        """

    def threads_after(self, thread_id: str | None, limit: int) -> Sequence[StoredThread]:
        """The next threads in ascending order of their ids."""

    def highest_sequences(self, after: str | None, up_to: str | None) -> Iterable[HighestSequence]:
        """The highest sequence of each thread that messages name, in ascending order of the ids, read from the index.

        The ids are above `after` and at most `up_to`. None is no bound.
        """

    def last_sequence(self, thread_id: str) -> int | None:
        """The present `last_sequence` of a thread; None if it does not exist or is not a thread."""

    def orphaned_messages(self, thread_id: str, before: datetime) -> OrphanedMessages | None:
        """How many messages a missing thread has; None if the thread exists.

        A message is recent if one of its dates is not before `before`.
        """

    def remove_orphaned_messages(self, thread_id: str, before: datetime) -> int:
        """Delete the messages of a thread if the thread does not exist and no message is recent. Returns how many.

        The command that deletes a message has the condition that the message is not recent.
        """

    def raise_last_sequence(self, thread_id: str, sequence: int) -> bool:
        """Set `last_sequence` of a thread in a command with the condition that it is lower. Returns whether it was."""
