"""Threads for an event loop: the names of `chatstore_cli.threads`, awaitable if they use the repository.

    manager = StateManager(repository=MockConversationRepository(), user_id="alice", org_id="acme")
    await manager.create_thread("Product planning")
    await manager.add_message("user", "What features should we prioritize?")

An application that uses the library fluxibly changes only its imports. docs/library.md has the manual and
the differences.
"""

from __future__ import annotations

from chatstore_cli.aio.thread_history import ConversationHistory
from chatstore_cli.aio.thread_manager import StateManager
from chatstore_cli.aio.thread_repositories import (
    ConversationRepository,
    MockConversationRepository,
    MongoConversationRepository,
    PostgreSQLConversationRepository,
    create_repository,
)
from chatstore_cli.threads import (
    AgentState,
    BadConfig,
    BadValue,
    BadVariable,
    ChatMessage,
    ChatstoreError,
    ChatThread,
    Conflict,
    CreateChatMessageRequest,
    CreateChatThreadRequest,
    DatabaseConfig,
    Edit,
    ForkedFrom,
    InvalidThreadData,
    Message,
    MessageNotFound,
    NoActiveThread,
    NotAllowed,
    NotFound,
    Owner,
    StateConfig,
    StoredConversations,
    ThreadNotFound,
    ThreadStore,
    Unreachable,
    Window,
    edited,
    is_repetition,
    is_summary,
)

__all__ = [
    "AgentState",
    "BadConfig",
    "BadValue",
    "BadVariable",
    "ChatMessage",
    "ChatThread",
    "ChatstoreError",
    "Conflict",
    "ConversationHistory",
    "ConversationRepository",
    "CreateChatMessageRequest",
    "CreateChatThreadRequest",
    "DatabaseConfig",
    "Edit",
    "ForkedFrom",
    "InvalidThreadData",
    "Message",
    "MessageNotFound",
    "MockConversationRepository",
    "MongoConversationRepository",
    "NoActiveThread",
    "NotAllowed",
    "NotFound",
    "Owner",
    "PostgreSQLConversationRepository",
    "StateConfig",
    "StateManager",
    "StoredConversations",
    "ThreadNotFound",
    "ThreadStore",
    "Unreachable",
    "Window",
    "create_repository",
    "edited",
    "is_repetition",
    "is_summary",
]
