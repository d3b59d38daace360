"""Threads: the sessions of users and tenants, each with its messages.

    repository = MongoConversationRepository("mongodb://localhost:27017", "chats")
    manager = StateManager(repository, user_id="ana", org_id="acme")
    manager.create_thread("Product planning")
    manager.add_message("user", "What should we build first?")
    history = manager.load_conversation_history()

All calls are synchronous and thread-safe. `chatstore_cli.aio.threads` has the same names for an event loop. A store of
your own implements ThreadStore, and StoredConversations makes a repository of it (`chatstore_cli.testing` has its tests).
docs/library.md is the manual.
"""

from __future__ import annotations

from chatstore_cli.config.thread_database import DatabaseConfig, StateConfig
from chatstore_cli.core.threads.agent_state import AgentState
from chatstore_cli.core.threads.edits import edited
from chatstore_cli.core.threads.history import ConversationHistory
from chatstore_cli.core.threads.manager import StateManager
from chatstore_cli.core.threads.memory import MockConversationRepository
from chatstore_cli.core.threads.repetition import is_repetition
from chatstore_cli.core.threads.repository import StoredConversations
from chatstore_cli.core.threads.summaries import is_summary
from chatstore_cli.domain.errors import (
    BadConfig,
    BadValue,
    BadVariable,
    ChatstoreError,
    Conflict,
    InvalidThreadData,
    MessageNotFound,
    NoActiveThread,
    NotAllowed,
    NotFound,
    ThreadNotFound,
    Unreachable,
)
from chatstore_cli.domain.threads.models import (
    ChatMessage,
    ChatThread,
    CreateChatMessageRequest,
    CreateChatThreadRequest,
    Edit,
    ForkedFrom,
    Message,
)
from chatstore_cli.domain.threads.ports import ConversationRepository, Owner, ThreadStore, Window
from chatstore_cli.library.threads.creation import create_repository
from chatstore_cli.library.threads.mongo import MongoConversationRepository
from chatstore_cli.library.threads.postgres import PostgreSQLConversationRepository

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
