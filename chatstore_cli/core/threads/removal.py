"""Deleting threads, or the messages of one: a plan that can be shown before it is carried out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chatstore_cli.core.threads.view import find_counted
from chatstore_cli.domain.quantities import quantity
from chatstore_cli.domain.threads.results import ThreadRemoval

if TYPE_CHECKING:
    from chatstore_cli.domain.session_reader import SessionReader
    from chatstore_cli.domain.threads.ports import ConversationRepository, Owner

_MOST_LISTED = 20


@dataclass(frozen=True)
class RemovalPlan:
    """The threads, or the messages of one thread, that `carry_out` deletes."""

    removals: Sequence[ThreadRemoval]

    def __str__(self) -> str:
        """The threads in words, one a line, and how to keep a copy."""
        lines = [str(removal) for removal in self.removals[:_MOST_LISTED]]
        if len(self.removals) > _MOST_LISTED:
            messages = sum(removal.messages for removal in self.removals)
            total = f"{quantity(len(self.removals), 'thread')} with {quantity(messages, 'message')}"
            lines.append(f"… and {len(self.removals) - _MOST_LISTED:,} more: {total} in total.")
        return "\n".join([*lines, "To keep a copy, run chatstore threads export first."])

    def carry_out(self, repository: ConversationRepository, owner: Owner) -> Iterator[ThreadRemoval]:
        """Delete thread after thread, and yield each with the number of its messages.

        A thread that was deleted meanwhile, or given to another owner, is left out.
        """
        for removal in self.removals:
            thread_id = removal.thread.id
            if removal.messages_only:
                deleted = repository.clear_messages(thread_id, owner=owner)
                yield ThreadRemoval(removal.thread, deleted, messages_only=True)
            elif repository.delete_thread(thread_id, owner=owner):
                yield removal


def plan_removal(
    repository: ConversationRepository,
    readers: Sequence[SessionReader],
    thread_ids: Sequence[str],
    owner: Owner,
    *,
    messages_only: bool = False,
) -> RemovalPlan:
    """The plan to delete these threads, each once. Raises ThreadNotFound for the first that does not exist."""
    found = (find_counted(repository, readers, thread_id, owner) for thread_id in dict.fromkeys(thread_ids))
    return RemovalPlan([ThreadRemoval(thread, session.message_count, messages_only) for thread, session in found])
