"""The two ports of threads.

Applications and `StateManager` use a ConversationRepository. Its rules (checks, ids, times, limits) are in
core/threads/repository.py, written once over a ThreadStore, which each database implements.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from chatstore_cli.domain.threads.models import (
        ChatMessage,
        ChatThread,
        CreateChatMessageRequest,
        CreateChatThreadRequest,
    )


class Owner(NamedTuple):
    """The condition on the user and the tenant of a thread. None means any user or any tenant."""

    user_id: str | None = None
    org_id: str | None = None

    def owns(self, thread: ChatThread) -> bool:
        """Whether the thread meets the condition."""
        return self.user_id in (None, thread.user_id) and self.org_id in (None, thread.org_id)


ANYONE = Owner()
"""No condition on the owner."""


class Window(NamedTuple):
    """A part of a thread's messages, which are in ascending order of `sequence`.

    Only messages after `after_sequence` and up to `up_to_sequence` count. Of these, `offset` messages are skipped, and at
    most `limit` follow. With `newest`, offset and limit are counted from the end; the order stays ascending.
    """

    limit: int | None = None
    offset: int = 0
    newest: bool = False
    after_sequence: int | None = None
    up_to_sequence: int | None = None


ALL = Window()


class ConversationRepository(Protocol):
    """Stores threads and their messages. All methods are synchronous and thread-safe.

    A thread that does not belong to `owner` is treated exactly like one that does not exist. Returned objects are copies.
    Methods raise InvalidThreadData for values that cannot be stored, before anything is stored; Unreachable; NotAllowed.
    """

    def create_thread(self, request: CreateChatThreadRequest) -> ChatThread:
        """Store a new thread."""

    def get_thread(self, thread_id: str, *, owner: Owner = ANYONE, with_messages: bool = True) -> ChatThread | None:
        """The thread, or None if it does not exist. `with_messages=False` leaves out its messages."""

    def update_thread(self, thread_id: str, *, owner: Owner = ANYONE, **changes: Any) -> ChatThread | None:
        """Change `name`, `user_id` or `org_id`, and `updated_at`. Other names are ignored. None if it does not exist.

        Returns the thread without messages.
        """

    def delete_thread(self, thread_id: str, *, owner: Owner = ANYONE) -> bool:
        """Delete a thread and its messages. Returns whether it existed."""

    def list_threads(self, user_id: str | None = None, org_id: str | None = None, limit: int = 100) -> list[ChatThread]:
        """Threads without messages, the newest `updated_at` first, equal ones in descending order of their ids."""

    def create_message(self, request: CreateChatMessageRequest, *, owner: Owner = ANYONE) -> ChatMessage:
        """Store a message at the end of its thread. Raises ThreadNotFound.

        If the `message_id` is already stored with the same thread, sender, role and content, that message is returned. Any
        other message of that id is a Conflict.
        """

    def create_messages(
        self, requests: Sequence[CreateChatMessageRequest], *, owner: Owner = ANYONE
    ) -> list[ChatMessage]:
        """Store messages of one thread in their order: at most 1,000, and 12 MiB. Raises like `create_message`.

        If the database has transactions, all or none are stored. Otherwise only the first ones may be stored, and a
        repetition with the same message ids stores the rest.
        """

    def get_messages(
        self,
        thread_id: str,
        limit: int | None = None,
        offset: int = 0,
        *,
        newest: bool = False,
        owner: Owner = ANYONE,
    ) -> list[ChatMessage]:
        """The oldest `limit` messages after `offset`, or with `newest` the newest, in ascending order of `sequence`.

        Empty if the thread does not exist. A negative limit leaves out that many messages at the other end.
        """

    def iter_messages(
        self, thread_id: str, *, after_sequence: int | None = None, last: int | None = None, owner: Owner = ANYONE
    ) -> Iterator[ChatMessage]:
        """The messages in ascending order of `sequence`, or the newest `last` of them, streamed."""

    def get_message(self, message_id: str, *, owner: Owner = ANYONE) -> ChatMessage | None:
        """One message; None if it does not exist, or if its thread does not."""

    def edit_message(self, message_id: str, content: Mapping[str, Any], *, owner: Owner = ANYONE) -> ChatMessage | None:
        """Replace a message's content and keep the former one in `edits` (the newest 20). None if it does not exist.

        An edit to the present content changes nothing.
        """

    def delete_message(self, message_id: str, *, owner: Owner = ANYONE) -> bool:
        """Delete one message. Returns whether it existed."""

    def clear_messages(self, thread_id: str, *, owner: Owner = ANYONE) -> int:
        """Delete all messages of a thread and return how many. The thread's `updated_at` does not change."""

    def newest_summary(self, thread_id: str, *, owner: Owner = ANYONE) -> ChatMessage | None:
        """The newest message whose `content.metadata.summary` names the range that it covers; None without one."""

    def fork_thread(
        self,
        thread_id: str,
        *,
        at_sequence: int | None = None,
        name: str | None = None,
        owner: Owner = ANYONE,
    ) -> ChatThread:
        """Copy a thread up to and with the message of that sequence, or all of it, to a new thread of the same owner.

        Nobody sees the fork before it is complete. Raises ThreadNotFound.
        """

    def import_thread(self, thread: ChatThread, messages: Iterable[ChatMessage]) -> ChatThread:
        """Store a whole thread under its own ids, times and sequences. Nobody sees it before it is complete.

        A repetition after an interruption completes it. The messages are in ascending order of `sequence`. Each is checked
        when its turn comes. Raises Conflict if the thread, or another message of one of the ids, exists.
        """


class ThreadStore(Protocol):
    """Threads and messages in one database. core/threads/repository.py has checked all values.

    Every method uses `owner` as a condition of the command that reads or writes. It never checks the owner in an earlier
    command, because the owner may change in between.
    """

    def insert_thread(self, thread: ChatThread) -> None:
        """Store a new thread without messages. Raises Conflict, which names the id, if the thread exists."""

    def find_thread(self, thread_id: str, owner: Owner) -> ChatThread | None:
        """The thread without its messages."""

    def change_thread(
        self, thread_id: str, changes: Mapping[str, str], updated_at: datetime, owner: Owner
    ) -> ChatThread | None:
        """Set fields of a thread, and raise its `updated_at`. Returns the changed thread without its messages."""

    def remove_thread(self, thread_id: str, owner: Owner) -> bool:
        """Delete a thread, then its messages. Returns whether the thread existed."""

    def newest_threads(self, owner: Owner, limit: int) -> list[ChatThread]:
        """Threads without messages in descending order of (`updated_at`, id)."""

    def add_messages(self, thread_id: str, messages: Sequence[ChatMessage], owner: Owner) -> list[ChatMessage] | None:
        """Store messages at the end of a thread, and raise its `updated_at`. None if the thread does not exist.

        A message whose id is stored already with the same thread, sender, role and content is not stored again:
        core/threads/repetition.py: `is_repetition` compares them. Raises Conflict, which names the id, for any other
        message of that id. Returns the messages as stored, in the order of the argument. The given
        messages may be numbered and returned themselves.
        """

    def messages(self, thread_id: str, window: Window, owner: Owner) -> Iterator[ChatMessage]:
        """The messages of a window in ascending order of `sequence`, streamed. Empty if the thread does not exist."""

    def find_message(self, message_id: str, owner: Owner) -> ChatMessage | None:
        """One message; None if it does not exist, or if its thread does not."""

    def replace_content(
        self, message_id: str, content: Mapping[str, Any], edited_at: datetime, owner: Owner
    ) -> ChatMessage | None:
        """Set a message's content, keep the former one in `edits`, and raise the thread's `updated_at`.

        core/threads/edits.py: `edited` makes the new message from the stored one, for every store.
        """

    def remove_message(self, message_id: str, removed_at: datetime, owner: Owner) -> bool:
        """Delete one message, and raise the thread's `updated_at`. Returns whether the message existed."""

    def clear_messages(self, thread_id: str, owner: Owner) -> int:
        """Delete all messages of a thread and return how many."""

    def newest_summary(self, thread_id: str, owner: Owner) -> ChatMessage | None:
        """The message of the highest sequence that is a summary, see core/threads/summaries.py: `summary_range`."""

    def insert_whole_thread(self, thread: ChatThread, messages: Iterable[ChatMessage]) -> None:
        """Store messages with their sequences, then their thread. Messages that are stored already count as stored.

        Raises Conflict, which names the id, if the thread or another message of one of the ids exists.
        """
