"""The library for applications with an event loop: the names of `chatstore_cli`. Calls that wait are awaitable.

    async with ChatPersistenceWorker(cache, storage):
        await cache.record_chat_event("chat-1", "user", "Hello")

Threads are in `chatstore_cli.aio.threads`. The calls run in daemon threads of their own. docs/library.md is the manual.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import chatstore_cli

if TYPE_CHECKING:
    from chatstore_cli import (
        Agent,
        AgentChanged,
        AgentMessage,
        AgentNotFound,
        AgentPage,
        AgentPurge,
        AgentSession,
        AgentState,
        AgentVersion,
        AgentVersionNotFound,
        ArtifactInstance,
        BadConfig,
        BadLines,
        BadValue,
        BadVariable,
        BinaryMissing,
        BindingPage,
        CallPage,
        CallSession,
        ChatHistory,
        ChatstoreError,
        ClientPosition,
        Conflict,
        Difference,
        DocumentRefused,
        ForeignCollection,
        InsertedMessages,
        Interrupted,
        InvalidAgent,
        InvalidCall,
        InvalidGeneralChat,
        InvalidPhoneNumber,
        InvalidThreadData,
        LastArtifact,
        Locked,
        Message,
        MessageNotFound,
        MissingRight,
        MixedTurn,
        NeedsConfirmation,
        NoActiveThread,
        NotAllowed,
        NotFound,
        NotRecorded,
        OtherTenant,
        Overdue,
        PhoneBinding,
        PositionAhead,
        PrerequisiteRefused,
        ReplayBoundary,
        ResolvedConfig,
        ResumedChat,
        RoutedCall,
        RouteReason,
        SavedAs,
        SavedEvent,
        SearchHit,
        SearchPage,
        SessionArtifacts,
        StatePage,
        StorageHealth,
        StoredChat,
        Switch,
        ThreadNotFound,
        TranscriptSource,
        Transition,
        UnknownHost,
        Unreachable,
        UnsuitableCollection,
        WorkerStats,
        WorkflowContext,
        WorkflowRequest,
        WrongUse,
        masked_config,
    )
    from chatstore_cli.aio.ag2 import AG2PersistenceManager
    from chatstore_cli.aio.agent_states import AgentSessions, AgentStates
    from chatstore_cli.aio.agents import AgentConfigResolverService, AgentRegistryService
    from chatstore_cli.aio.recording import ChatPersistenceWorker, LocalChatCache, MongoChatStorage, chat_history
    from chatstore_cli.aio.search import SessionSearch
    from chatstore_cli.aio.session_registry import SessionRegistry
    from chatstore_cli.aio.voice import CallSessions, PhoneNumbers

__all__ = [
    "AG2PersistenceManager",
    "Agent",
    "AgentChanged",
    "AgentConfigResolverService",
    "AgentMessage",
    "AgentNotFound",
    "AgentPage",
    "AgentPurge",
    "AgentRegistryService",
    "AgentSession",
    "AgentSessions",
    "AgentState",
    "AgentStates",
    "AgentVersion",
    "AgentVersionNotFound",
    "ArtifactInstance",
    "BadConfig",
    "BadLines",
    "BadValue",
    "BadVariable",
    "BinaryMissing",
    "BindingPage",
    "CallPage",
    "CallSession",
    "CallSessions",
    "ChatHistory",
    "ChatPersistenceWorker",
    "ChatstoreError",
    "ClientPosition",
    "Conflict",
    "Difference",
    "DocumentRefused",
    "ForeignCollection",
    "InsertedMessages",
    "Interrupted",
    "InvalidAgent",
    "InvalidCall",
    "InvalidGeneralChat",
    "InvalidPhoneNumber",
    "InvalidThreadData",
    "LastArtifact",
    "LocalChatCache",
    "Locked",
    "Message",
    "MessageNotFound",
    "MissingRight",
    "MixedTurn",
    "MongoChatStorage",
    "NeedsConfirmation",
    "NoActiveThread",
    "NotAllowed",
    "NotFound",
    "NotRecorded",
    "OtherTenant",
    "Overdue",
    "PhoneBinding",
    "PhoneNumbers",
    "PositionAhead",
    "PrerequisiteRefused",
    "ReplayBoundary",
    "ResolvedConfig",
    "ResumedChat",
    "RouteReason",
    "RoutedCall",
    "SavedAs",
    "SavedEvent",
    "SearchHit",
    "SearchPage",
    "SessionArtifacts",
    "SessionRegistry",
    "SessionSearch",
    "StatePage",
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
    "masked_config",
]

_AWAITABLE = {
    "AG2PersistenceManager": "ag2",
    "AgentConfigResolverService": "agents",
    "AgentRegistryService": "agents",
    "AgentSessions": "agent_states",
    "AgentStates": "agent_states",
    "CallSessions": "voice",
    "ChatPersistenceWorker": "recording",
    "LocalChatCache": "recording",
    "MongoChatStorage": "recording",
    "PhoneNumbers": "voice",
    "SessionRegistry": "session_registry",
    "SessionSearch": "search",
    "chat_history": "recording",
}


def __getattr__(name: str) -> Any:
    # Lazy, because threads need nothing of what the other names load.
    if name in _AWAITABLE:
        return getattr(import_module(f"chatstore_cli.aio.{_AWAITABLE[name]}"), name)
    if name in __all__:
        return getattr(chatstore_cli, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
