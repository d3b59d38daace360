"""chatstore: administer the chat sessions that a product stores in MongoDB.

Applications import the library from here: LocalChatCache, MongoChatStorage and ChatPersistenceWorker for flat messages,
AG2PersistenceManager for the sessions of AG2 agents.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chatstore_cli.domain.errors import BadValue as BadValue
    from chatstore_cli.domain.errors import ChatstoreError as ChatstoreError
    from chatstore_cli.domain.errors import Locked as Locked
    from chatstore_cli.domain.errors import NotAllowed as NotAllowed
    from chatstore_cli.domain.errors import NotRecorded as NotRecorded
    from chatstore_cli.domain.errors import Unreachable as Unreachable
    from chatstore_cli.domain.message import Message as Message
    from chatstore_cli.domain.workflow.chats import ResumedChat as ResumedChat
    from chatstore_cli.domain.workflow.chats import SavedAs as SavedAs
    from chatstore_cli.domain.workflow.chats import SavedEvent as SavedEvent
    from chatstore_cli.domain.workflow.chats import Transition as Transition
    from chatstore_cli.library import AG2PersistenceManager as AG2PersistenceManager
    from chatstore_cli.library import ChatHistory as ChatHistory
    from chatstore_cli.library import ChatPersistenceWorker as ChatPersistenceWorker
    from chatstore_cli.library import InsertedMessages as InsertedMessages
    from chatstore_cli.library import LocalChatCache as LocalChatCache
    from chatstore_cli.library import MongoChatStorage as MongoChatStorage
    from chatstore_cli.library import StorageHealth as StorageHealth
    from chatstore_cli.library import WorkerStats as WorkerStats
    from chatstore_cli.library import chat_history as chat_history

__version__ = "0.1.0"

_PUBLIC = {
    "AG2PersistenceManager": "library",
    "BadValue": "domain.errors",
    "ChatHistory": "library",
    "ChatPersistenceWorker": "library",
    "ChatstoreError": "domain.errors",
    "InsertedMessages": "library",
    "LocalChatCache": "library",
    "Locked": "domain.errors",
    "Message": "domain.message",
    "MongoChatStorage": "library",
    "NotAllowed": "domain.errors",
    "NotRecorded": "domain.errors",
    "ResumedChat": "domain.workflow.chats",
    "SavedAs": "domain.workflow.chats",
    "SavedEvent": "domain.workflow.chats",
    "StorageHealth": "library",
    "Transition": "domain.workflow.chats",
    "Unreachable": "domain.errors",
    "WorkerStats": "library",
    "chat_history": "library",
}


def __getattr__(name: str) -> Any:
    # Lazy, because the command line imports this package as well and does not use the library.
    if name in _PUBLIC:
        return getattr(import_module(f"chatstore_cli.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_PUBLIC]
