"""The ConversationRepository of every database: the rules of threads (checks, ids, times, limits) over any ThreadStore."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Self

from chatstore_cli.core.threads.checks import (
    MAX_CONTENT_BYTES,
    MAX_SEQUENCE,
    checked_content,
    checked_id,
    checked_name,
    checked_owner,
    checked_role,
)
from chatstore_cli.core.threads.imports import imported_messages, imported_thread
from chatstore_cli.core.threads.long_lists import long_list
from chatstore_cli.domain.errors import InvalidThreadData, ThreadNotFound
from chatstore_cli.domain.threads.models import (
    ChatMessage,
    ChatThread,
    CreateChatMessageRequest,
    CreateChatThreadRequest,
    ForkedFrom,
    new_id,
)
from chatstore_cli.domain.threads.ports import ALL, ANYONE, Owner, ThreadStore, Window
from chatstore_cli.domain.times import Clock, to_milliseconds, utc_now

MOST_MESSAGES = 1_000
"""The most messages that one call of `create_messages` stores."""
_MOST = MAX_SEQUENCE
"""No thread has so many messages, and no message a higher sequence."""


class StoredConversations:
    """A ConversationRepository over a ThreadStore."""

    def __init__(self, store: ThreadStore, *, strict_roles: bool = True, clock: Clock = utc_now) -> None:
        """With `strict_roles` False a message may have any role, else only user, assistant, system and tool."""
        self._store = store
        self._strict_roles = strict_roles
        self._clock = clock

    def create_thread(self, request: CreateChatThreadRequest) -> ChatThread:
        now = self._now()
        thread = ChatThread(
            user_id=checked_owner(request.user_id, "user_id"),
            org_id=checked_owner(request.org_id, "org_id"),
            name=checked_name(request.name),
            created_at=now,
            updated_at=now,
        )
        self._store.insert_thread(thread)
        return thread

    def get_thread(self, thread_id: str, *, owner: Owner = ANYONE, with_messages: bool = True) -> ChatThread | None:
        thread = self._store.find_thread(thread_id, owner) if _can_exist(thread_id) else None
        if thread is not None and with_messages:
            thread.chat_messages = long_list(self._store.messages(thread_id, ALL, owner))
        return thread

    def update_thread(self, thread_id: str, *, owner: Owner = ANYONE, **changes: Any) -> ChatThread | None:
        checked: dict[str, str] = {}
        if "name" in changes:
            checked["name"] = checked_name(changes["name"])
        for field in ("user_id", "org_id"):
            if field in changes:
                checked[field] = checked_owner(changes[field], field)
        if not _can_exist(thread_id):
            return None
        return self._store.change_thread(thread_id, checked, self._now(), owner)

    def delete_thread(self, thread_id: str, *, owner: Owner = ANYONE) -> bool:
        return _can_exist(thread_id) and self._store.remove_thread(thread_id, owner)

    def list_threads(self, user_id: str | None = None, org_id: str | None = None, limit: int = 100) -> list[ChatThread]:
        if limit <= 0 or not all(each is None or _can_exist(each) for each in (user_id, org_id)):
            return []
        return self._store.newest_threads(Owner(user_id, org_id), min(limit, _MOST))

    def create_message(self, request: CreateChatMessageRequest, *, owner: Owner = ANYONE) -> ChatMessage:
        [message] = self.create_messages([request], owner=owner)
        return message

    def create_messages(
        self, requests: Sequence[CreateChatMessageRequest], *, owner: Owner = ANYONE
    ) -> list[ChatMessage]:
        if not requests:
            return []
        if len(requests) > MOST_MESSAGES:
            raise InvalidThreadData(
                what=f"{len(requests):,} messages were passed, and at most {MOST_MESSAGES:,} can be added together."
            )
        thread_id = requests[0].chat_thread_id
        if not _can_exist(thread_id):
            raise ThreadNotFound(thread_id=thread_id)
        stored = self._store.add_messages(thread_id, self._new_messages(requests), owner)
        if stored is None:
            raise ThreadNotFound(thread_id=thread_id)
        return stored

    def _new_messages(self, requests: Sequence[CreateChatMessageRequest]) -> list[ChatMessage]:
        now, size = self._now(), 0
        messages: list[ChatMessage] = []
        ids: set[str] = set()
        for number, request in enumerate(requests):
            if request.chat_thread_id != requests[0].chat_thread_id:
                raise InvalidThreadData(what=f"Message {number} belongs to another thread than message 0.")
            content, content_size = checked_content(request.content)
            size += content_size
            if size > MAX_CONTENT_BYTES:
                limit = f"at most {MAX_CONTENT_BYTES >> 20} MiB can be added together"
                raise InvalidThreadData(what=f"The messages up to number {number} are too large: {limit}.")
            message_id = new_id() if request.message_id is None else checked_id(request.message_id, "message_id")
            if message_id in ids:
                raise InvalidThreadData(what=f"Message {number} has the message_id {message_id!r} of an earlier one.")
            ids.add(message_id)
            messages.append(
                ChatMessage(
                    id=message_id,
                    chat_thread_id=request.chat_thread_id,
                    sender_id=None if request.sender_id is None else checked_owner(request.sender_id, "sender_id"),
                    sender_role=checked_role(request.sender_role, strict=self._strict_roles),
                    content=content,
                    created_at=now,
                    updated_at=now,
                )
            )
        return messages

    def get_messages(
        self,
        thread_id: str,
        limit: int | None = None,
        offset: int = 0,
        *,
        newest: bool = False,
        owner: Owner = ANYONE,
    ) -> list[ChatMessage]:
        if not _can_exist(thread_id) or limit == 0:
            return []
        limit, offset = _bounded(limit), max(0, min(offset, _MOST))
        if limit is not None and limit < 0:
            rest = long_list(self._store.messages(thread_id, Window(None, offset, newest), owner))
            return rest[-limit:] if newest else rest[:limit]
        return long_list(self._store.messages(thread_id, Window(limit, offset, newest), owner))

    def iter_messages(
        self, thread_id: str, *, after_sequence: int | None = None, last: int | None = None, owner: Owner = ANYONE
    ) -> Iterator[ChatMessage]:
        if not _can_exist(thread_id) or (last is not None and last <= 0):
            return iter(())
        window = Window(limit=_bounded(last), newest=last is not None, after_sequence=_bounded(after_sequence))
        return self._store.messages(thread_id, window, owner)

    def get_message(self, message_id: str, *, owner: Owner = ANYONE) -> ChatMessage | None:
        return self._store.find_message(message_id, owner) if _can_exist(message_id) else None

    def edit_message(self, message_id: str, content: Mapping[str, Any], *, owner: Owner = ANYONE) -> ChatMessage | None:
        checked, _ = checked_content(content)
        if not _can_exist(message_id):
            return None
        return self._store.replace_content(message_id, checked, self._now(), owner)

    def delete_message(self, message_id: str, *, owner: Owner = ANYONE) -> bool:
        return _can_exist(message_id) and self._store.remove_message(message_id, self._now(), owner)

    def clear_messages(self, thread_id: str, *, owner: Owner = ANYONE) -> int:
        return self._store.clear_messages(thread_id, owner) if _can_exist(thread_id) else 0

    def newest_summary(self, thread_id: str, *, owner: Owner = ANYONE) -> ChatMessage | None:
        return self._store.newest_summary(thread_id, owner) if _can_exist(thread_id) else None

    def fork_thread(
        self,
        thread_id: str,
        *,
        at_sequence: int | None = None,
        name: str | None = None,
        owner: Owner = ANYONE,
    ) -> ChatThread:
        parent = self.get_thread(thread_id, owner=owner, with_messages=False)
        if parent is None:
            raise ThreadNotFound(thread_id=thread_id)
        now = self._now()
        fork = ChatThread(
            user_id=parent.user_id,
            org_id=parent.org_id,
            name=parent.name if name is None else checked_name(name),
            created_at=now,
            updated_at=now,
        )
        last = self._last_sequence(thread_id, at_sequence, owner)
        fork.forked_from = ForkedFrom(thread_id=thread_id, sequence=last)
        self._store.insert_whole_thread(fork, self._copies(thread_id, last, fork.id, owner))
        return fork

    def _copies(self, thread_id: str, last: int, fork_id: str, owner: Owner) -> Iterator[ChatMessage]:
        """The messages of a fork. Raises ThreadNotFound if the thread was deleted meanwhile, and messages may be missing."""
        sequence = -1
        for message in self._store.messages(thread_id, Window(up_to_sequence=last), owner):
            # Messages that another program stored without a sequence all have 0, and each needs one of its own.
            sequence = max(message.sequence, sequence + 1)
            yield message.model_copy(update={"id": new_id(), "chat_thread_id": fork_id, "sequence": sequence})
        if self._store.find_thread(thread_id, owner) is None:
            raise ThreadNotFound(thread_id=thread_id)

    def _last_sequence(self, thread_id: str, at_sequence: int | None, owner: Owner) -> int:
        """The sequence of the last message to copy. It is fixed first, so that messages added meanwhile are not copied."""
        window = Window(limit=1, newest=True, up_to_sequence=_bounded(at_sequence))
        return next((message.sequence for message in self._store.messages(thread_id, window, owner)), 0)

    def import_thread(self, thread: ChatThread, messages: Iterable[ChatMessage]) -> ChatThread:
        imported = imported_thread(thread)
        self._store.insert_whole_thread(imported, imported_messages(thread.id, messages))
        return imported

    def close(self) -> None:
        """Close the connections. Here there are none; a repository that has some overrides this."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _now(self) -> datetime:
        return to_milliseconds(self._clock())


def _bounded(number: int | None) -> int | None:
    """The number, within what every database accepts as a limit or compares with a sequence."""
    return None if number is None else max(-_MOST, min(number, _MOST))


def _can_exist(identity: object) -> bool:
    """Whether a value can be the id of something stored: a driver raises for NUL and lone surrogates."""
    if not isinstance(identity, str) or "\0" in identity:
        return False
    try:
        identity.encode()
    except UnicodeEncodeError:
        return False
    return True
