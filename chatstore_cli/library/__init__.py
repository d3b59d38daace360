"""The library that an application embeds: it records messages on the local disk, and a worker stores them in MongoDB.

    cache = LocalChatCache(disk_path="data/cache/chat_sessions")
    storage = MongoChatStorage("mongodb://localhost:27017", "chats")
    with ChatPersistenceWorker(cache, storage) as worker:
        cache.record_chat_event("chat-1", "user", "Hello")

The sessions of AG2 agents are stored event by event, without a journal:

    manager = AG2PersistenceManager("mongodb://localhost:27017", "chats")
    with manager.usage_of(agents, chat_id="chat-1", enterprise_id="acme"):
        manager.save_event(event, chat_id="chat-1", enterprise_id="acme")

All calls are synchronous and thread-safe. docs/library.md is the manual.
"""

from __future__ import annotations

from chatstore_cli.core.sessions.history import ChatHistory, chat_history
from chatstore_cli.domain.recording import WorkerStats
from chatstore_cli.library.ag2 import AG2PersistenceManager
from chatstore_cli.library.cache import LocalChatCache
from chatstore_cli.library.session_registry import SessionRegistry
from chatstore_cli.library.storage import InsertedMessages, MongoChatStorage, StorageHealth
from chatstore_cli.library.worker import ChatPersistenceWorker

__all__ = [
    "AG2PersistenceManager",
    "ChatHistory",
    "ChatPersistenceWorker",
    "InsertedMessages",
    "LocalChatCache",
    "MongoChatStorage",
    "SessionRegistry",
    "StorageHealth",
    "WorkerStats",
    "chat_history",
]
