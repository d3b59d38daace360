"""chatstore: administer the chat sessions that a product stores in MongoDB.

Applications import the library from here: LocalChatCache, MongoChatStorage and ChatPersistenceWorker for flat messages,
AG2PersistenceManager for the sessions of AG2 agents, and the errors of both.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chatstore_cli.domain.artifacts import ArtifactInstance, LastArtifact, SessionArtifacts
    from chatstore_cli.domain.errors import (
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
        InvalidGeneralChat,
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
        PositionAhead,
        PrerequisiteRefused,
        ThreadNotFound,
        UnknownHost,
        Unreachable,
        UnsuitableCollection,
        WrongUse,
    )
    from chatstore_cli.domain.message import Message
    from chatstore_cli.domain.mixed_transcript import ClientPosition, MixedTurn, ReplayBoundary, TranscriptSource
    from chatstore_cli.domain.session_registry import Switch, WorkflowContext, WorkflowRequest
    from chatstore_cli.domain.workflow.chats import ResumedChat, SavedAs, SavedEvent, StoredChat, Transition
    from chatstore_cli.library import (
        AG2PersistenceManager,
        ChatHistory,
        ChatPersistenceWorker,
        InsertedMessages,
        LocalChatCache,
        MongoChatStorage,
        SessionRegistry,
        StorageHealth,
        WorkerStats,
        chat_history,
    )

__version__ = "0.1.0"

__all__ = [
    "AG2PersistenceManager",
    "ArtifactInstance",
    "BadConfig",
    "BadLines",
    "BadValue",
    "BadVariable",
    "BinaryMissing",
    "ChatHistory",
    "ChatPersistenceWorker",
    "ChatstoreError",
    "ClientPosition",
    "Conflict",
    "DocumentRefused",
    "ForeignCollection",
    "InsertedMessages",
    "Interrupted",
    "InvalidGeneralChat",
    "InvalidThreadData",
    "LastArtifact",
    "LocalChatCache",
    "Locked",
    "Message",
    "MessageNotFound",
    "MixedTurn",
    "MongoChatStorage",
    "NeedsConfirmation",
    "NoActiveThread",
    "NotAllowed",
    "NotFound",
    "NotRecorded",
    "OtherTenant",
    "Overdue",
    "PositionAhead",
    "PrerequisiteRefused",
    "ReplayBoundary",
    "ResumedChat",
    "SavedAs",
    "SavedEvent",
    "SessionArtifacts",
    "SessionRegistry",
    "StorageHealth",
    "StoredChat",
    "Switch",
    "ThreadNotFound",
    "TranscriptSource",
    "Transition",
    "UnknownHost",
    "Unreachable",
    "UnsuitableCollection",
    "WorkerStats",
    "WorkflowContext",
    "WorkflowRequest",
    "WrongUse",
    "chat_history",
]

_MODULES = (
    "domain.artifacts",
    "domain.errors",
    "domain.message",
    "domain.mixed_transcript",
    "domain.session_registry",
    "domain.workflow.chats",
    "library",
)


def __getattr__(name: str) -> Any:
    # Lazy, because the command line imports this package as well and does not use the library.
    if name in __all__:
        for module in (import_module(f"chatstore_cli.{each}") for each in _MODULES):
            if name in vars(module):
                return vars(module)[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
