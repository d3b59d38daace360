"""What each test of the contract starts with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from chatstore_cli.domain.threads.models import (
    ChatMessage,
    ChatThread,
    CreateChatMessageRequest,
    CreateChatThreadRequest,
    new_id,
)
from chatstore_cli.domain.threads.ports import ConversationRepository

LONG_AGO = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


class Scene:
    """A repository, and a user and a tenant that nobody else has."""

    def __init__(self, repository: ConversationRepository) -> None:
        self.repository = repository
        self.user_id = f"user-{new_id()}"
        self.org_id = f"org-{new_id()}"

    def thread(self, name: str = "A thread", *texts: str) -> ChatThread:
        """A new thread with a message for each text."""
        thread = self.repository.create_thread(
            CreateChatThreadRequest(user_id=self.user_id, org_id=self.org_id, name=name)
        )
        self.add(thread, *texts)
        return thread

    def add(self, thread: ChatThread, *texts: str) -> list[ChatMessage]:
        """Messages of the user, one by one."""
        return [self.repository.create_message(request(thread, text)) for text in texts]

    def texts(self, thread: ChatThread, **window: Any) -> list[str]:
        """The texts of the stored messages."""
        return [message.content["text"] for message in self.repository.get_messages(thread.id, **window)]

    def old_thread(self, identity: str | None = None, updated_at: datetime = LONG_AGO) -> ChatThread:
        """A thread to import."""
        return ChatThread(
            id=identity or new_id(),
            user_id=self.user_id,
            org_id=self.org_id,
            name="An old thread",
            created_at=LONG_AGO,
            updated_at=updated_at,
        )


class ContractTests:
    """The base of all parts of the contract."""

    def new_repository(self) -> ConversationRepository:
        """The repository to test. It may be the same for each test, or a new one."""
        raise NotImplementedError(f"{type(self).__name__} does not implement new_repository.")

    def scene(self) -> Scene:
        """A repository with an owner that nobody else has."""
        return Scene(self.new_repository())


def request(
    thread: ChatThread, text: str = "Hello", message_id: str | None = None, **changes: Any
) -> CreateChatMessageRequest:
    """A text of the user, to be added to a thread."""
    fields = {"sender_role": "user", "content": {"type": "text", "text": text}, **changes}
    return CreateChatMessageRequest(chat_thread_id=thread.id, message_id=message_id, **fields)


def old_message(thread: ChatThread, text: str, sequence: int = 0, **changes: Any) -> ChatMessage:
    """A message to import."""
    fields: dict[str, Any] = {
        "chat_thread_id": thread.id,
        "sender_role": "user",
        "content": {"type": "text", "text": text},
        "created_at": LONG_AGO,
        "updated_at": LONG_AGO,
        "sequence": sequence,
        **changes,
    }
    return ChatMessage(**fields)


@contextmanager
def raises(error: type[Exception], *words: str) -> Iterator[None]:
    """The block must raise this error, and its text must contain these words."""
    try:
        yield
    except error as caught:
        missing = [word for word in words if word not in str(caught)]
        assert not missing, f"{missing} not in {caught}"
    else:
        raise AssertionError(f"{error.__name__} was not raised")
