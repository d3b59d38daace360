"""Threads for an event loop: the names of `chatstore_cli.threads`, with `await` where a call uses the repository.

    manager = StateManager(repository=MockConversationRepository(), user_id="alice", org_id="acme")
    await manager.create_thread("Product planning")
    await manager.add_message("user", "What features should we prioritize?")

An application that uses the documented library changes its imports and nothing else. docs/library.md has the manual and
the differences.
"""

from __future__ import annotations

from chatstore_cli.aio.thread_history import ConversationHistory
from chatstore_cli.aio.thread_manager import StateManager
from chatstore_cli.aio.thread_repositories import ConversationRepository, MockConversationRepository
from chatstore_cli.domain.errors import (
    BadConfig,
    ChatstoreError,
    Conflict,
    InvalidThreadData,
    MessageNotFound,
    NoActiveThread,
    NotAllowed,
    ThreadNotFound,
    Unreachable,
)
from chatstore_cli.domain.threads.models import (
    ChatMessage,
    ChatThread,
    CreateChatMessageRequest,
    CreateChatThreadRequest,
    Message,
)

__all__ = [
    "BadConfig",
    "ChatMessage",
    "ChatThread",
    "ChatstoreError",
    "Conflict",
    "ConversationHistory",
    "ConversationRepository",
    "CreateChatMessageRequest",
    "CreateChatThreadRequest",
    "InvalidThreadData",
    "Message",
    "MessageNotFound",
    "MockConversationRepository",
    "NoActiveThread",
    "NotAllowed",
    "StateManager",
    "ThreadNotFound",
    "Unreachable",
]
