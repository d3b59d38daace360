"""Finds and corrects inconsistent threads, which interrupted processes left.

A killed fork, import or deletion leaves messages without a thread. An addition that is killed on a standalone server leaves
a thread whose `last_sequence` is too low. Neither changes what is read: messages without a thread are not shown, and
`last_sequence` is not used for reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from enum import StrEnum

from chatstore_cli.domain.threads.repair import ThreadFault, ThreadProblem, ThreadRepairs

_THREADS_PER_PAGE = 1_000


class RepairResult(StrEnum):
    """The result of a fault's repair."""

    PLANNED = "planned"
    REMOVED = "removed"
    CORRECTED = "corrected"
    CHANGED = "changed"
    """The thread changed in the meantime, so nothing was done."""


class ThreadExamination:
    """Compares all threads with their messages, page by page, from two indexes."""

    def __init__(self, store: ThreadRepairs, before: datetime, is_over: Callable[[], bool] = lambda: False) -> None:
        """`before` is LONGEST_COPY before the server's present. The examination stops once `is_over` is true."""
        self._store = store
        self._before = before
        self._is_over = is_over
        self.examined = 0
        """Threads, and ids of missing threads that messages name."""
        self.recent_messages = 0
        self.threads_of_recent = 0
        self.is_complete = False

    def faults(self) -> Iterator[ThreadFault]:
        """Each fault that can be repaired. Recent messages without a thread are only counted."""
        after: str | None = None
        while not self._is_over():
            # The threads are read first. For a message that is added later, the thread is looked up again.
            threads = self._store.threads_after(after, _THREADS_PER_PAGE)
            up_to = threads[-1].thread_id if len(threads) == _THREADS_PER_PAGE else None
            last_sequences = dict(threads)
            self.examined += len(threads)
            for thread_id, highest in self._store.highest_sequences(after, up_to):
                if thread_id not in last_sequences:
                    fault = self._orphaned(thread_id)
                else:
                    fault = self._behind(thread_id, last_sequences[thread_id], highest)
                if fault is not None:
                    yield fault
                if self._is_over():
                    return
            if up_to is None:
                self.is_complete = True
                return
            after = up_to

    def _orphaned(self, thread_id: str) -> ThreadFault | None:
        self.examined += 1
        found = self._store.orphaned_messages(thread_id, self._before)
        if found is None or not found.messages:
            return None
        if found.recent:
            self.recent_messages += found.messages
            self.threads_of_recent += 1
            return None
        return ThreadFault(thread_id, ThreadProblem.NO_THREAD, messages=found.messages)

    def _behind(self, thread_id: str, last: int | None, highest: int | None) -> ThreadFault | None:
        if last is None or highest is None or last >= highest:
            return None
        last = self._store.last_sequence(thread_id)  # a message may have been added since
        if last is None or last >= highest:
            return None
        return ThreadFault(thread_id, ThreadProblem.SEQUENCE_BEHIND, last_sequence=last, highest_sequence=highest)


def repair(store: ThreadRepairs, fault: ThreadFault, before: datetime) -> tuple[RepairResult, int]:
    """Correct one fault. Returns the result, and how many messages were deleted."""
    if fault.problem is ThreadProblem.NO_THREAD:
        removed = store.remove_orphaned_messages(fault.thread_id, before)
        return (RepairResult.REMOVED if removed else RepairResult.CHANGED), removed
    is_corrected = store.raise_last_sequence(fault.thread_id, fault.highest_sequence or 0)
    return (RepairResult.CORRECTED if is_corrected else RepairResult.CHANGED), 0
