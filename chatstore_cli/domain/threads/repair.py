"""What can be wrong with stored threads, and the port that finds and corrects it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime


class StoredThread(NamedTuple):
    """A thread and its stored `last_sequence`; None if the document is not a thread, so that nothing follows from it."""

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
    """Its messages are stored, and it is not. They were left by a process that was killed."""
    SEQUENCE_BEHIND = "sequence_behind"
    """Its `last_sequence` is below the sequence of its newest message."""


@dataclass(frozen=True, slots=True)
class ThreadFault:
    """One problem of one thread. Without a thread, `messages` would be removed, unless any of them is `recent`."""

    thread_id: str
    problem: ThreadProblem
    messages: int = 0
    recent: int = 0
    last_sequence: int | None = None
    highest_sequence: int | None = None


class ThreadRepairs(Protocol):
    """Threads and their messages in one database, for finding and correcting what is wrong. Reads what writers see.

    Ids are ordered byte by byte. `before` is an instant by the server's clock.
    """

    threads: str
    """The name of the collection or table of threads."""
    messages: str
    """That of their messages."""

    def exist(self) -> bool:
        """Whether threads or messages can be stored already."""

    def require_comparable(self) -> None:
        """Raise ForeignCollection if most documents are another product's, UnsuitableCollection without the index."""

    def threads_after(self, thread_id: str | None, limit: int) -> Sequence[StoredThread]:
        """The next threads in ascending order of their ids."""

    def highest_sequences(self, after: str | None, up_to: str | None) -> Iterable[HighestSequence]:
        """For each thread id of that range that a message names, in ascending order. None is no bound. Read from the index."""

    def last_sequence(self, thread_id: str) -> int | None:
        """The present `last_sequence` of a thread; None if it does not exist or is not a thread."""

    def orphaned_messages(self, thread_id: str, before: datetime) -> OrphanedMessages | None:
        """The messages of a thread that does not exist; None if it does. A message is recent if any of its dates is not before."""

    def remove_orphaned_messages(self, thread_id: str, before: datetime) -> int:
        """Delete the messages of a thread if it does not exist and none is recent. Returns how many were deleted.

        That a message is not recent is a condition of the command that deletes it.
        """

    def raise_last_sequence(self, thread_id: str, sequence: int) -> bool:
        """Set `last_sequence` of a thread if it is lower, with that as a condition. Returns whether it was."""
