"""chatstore: administer the chat sessions that a product stores in MongoDB.

Applications import the library from here: LocalChatCache, MongoChatStorage and ChatPersistenceWorker for flat messages,
AG2PersistenceManager for the sessions of AG2 agents, AgentRegistryService and AgentConfigResolverService for saved agents,
and the errors of all.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chatstore_cli.domain.errors import (
        AgentChanged,
        AgentNotFound,
        AgentVersionNotFound,
        BadConfig,
        BadLines,
        BadValue,
        BadVariable,
        BinaryMissing,
        ChatstoreError,
        Conflict,
        DocumentRefused,
        ForeignCollection,
        Interrupted,
        InvalidAgent,
        InvalidThreadData,
        Locked,
        MessageNotFound,
        NeedsConfirmation,
        NoActiveThread,
        NotAllowed,
        NotFound,
        NotRecorded,
        OtherTenant,
        Overdue,
        ThreadNotFound,
        UnknownHost,
        Unreachable,
        UnsuitableCollection,
        WrongUse,
    )
    from chatstore_cli.domain.message import Message
    from chatstore_cli.domain.workflow.chats import ResumedChat, SavedAs, SavedEvent, StoredChat, Transition
    from chatstore_cli.library import (
        AG2PersistenceManager,
        ChatHistory,
        ChatPersistenceWorker,
        InsertedMessages,
        LocalChatCache,
        MongoChatStorage,
        StorageHealth,
        WorkerStats,
        chat_history,
    )
    from chatstore_cli.library.agents import (
        Agent,
        AgentConfigResolverService,
        AgentPage,
        AgentPurge,
        AgentRegistryService,
        AgentVersion,
        Difference,
        ResolvedConfig,
        masked_config,
    )

__version__ = "0.1.0"

__all__ = [
    "AG2PersistenceManager",
    "Agent",
    "AgentChanged",
    "AgentConfigResolverService",
    "AgentNotFound",
    "AgentPage",
    "AgentPurge",
    "AgentRegistryService",
    "AgentVersion",
    "AgentVersionNotFound",
    "BadConfig",
    "BadLines",
    "BadValue",
    "BadVariable",
    "BinaryMissing",
    "ChatHistory",
    "ChatPersistenceWorker",
    "ChatstoreError",
    "Conflict",
    "Difference",
    "DocumentRefused",
    "ForeignCollection",
    "InsertedMessages",
    "Interrupted",
    "InvalidAgent",
    "InvalidThreadData",
    "LocalChatCache",
    "Locked",
    "Message",
    "MessageNotFound",
    "MongoChatStorage",
    "NeedsConfirmation",
    "NoActiveThread",
    "NotAllowed",
    "NotFound",
    "NotRecorded",
    "OtherTenant",
    "Overdue",
    "ResolvedConfig",
    "ResumedChat",
    "SavedAs",
    "SavedEvent",
    "StorageHealth",
    "StoredChat",
    "ThreadNotFound",
    "Transition",
    "UnknownHost",
    "Unreachable",
    "UnsuitableCollection",
    "WorkerStats",
    "WrongUse",
    "chat_history",
    "masked_config",
]

_MODULES = ("domain.errors", "domain.message", "domain.workflow.chats", "library", "library.agents")


def __getattr__(name: str) -> Any:
    # Lazy, because the command line imports this package as well and does not use the library.
    if name in __all__:
        for module in (import_module(f"chatstore_cli.{each}") for each in _MODULES):
            if name in vars(module):
                return vars(module)[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
