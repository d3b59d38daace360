"""chatstore: administer the chat sessions that a product stores in MongoDB.

Applications import the library from here: LocalChatCache, MongoChatStorage and ChatPersistenceWorker for flat messages,
AG2PersistenceManager for the sessions of AG2 agents, AgentRegistryService and AgentConfigResolverService for saved agents,
CallSessions and PhoneNumbers for calls, AgentStates and AgentSessions for a Python agent, SessionSearch to find messages
in all of them, and the errors of all.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chatstore_cli.domain.artifacts import ArtifactInstance, LastArtifact, SessionArtifacts
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
        InvalidCall,
        InvalidGeneralChat,
        InvalidPhoneNumber,
        InvalidThreadData,
        Locked,
        MessageNotFound,
        MissingRight,
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
    from chatstore_cli.library.agent_states import (
        AgentMessage,
        AgentSession,
        AgentSessions,
        AgentState,
        AgentStates,
        StatePage,
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
    from chatstore_cli.library.calls import (
        BindingPage,
        CallPage,
        CallSession,
        CallSessions,
        PhoneBinding,
        PhoneNumbers,
        RoutedCall,
        RouteReason,
    )
    from chatstore_cli.library.search import SearchHit, SearchPage, SessionSearch

__version__ = "0.1.0"

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

_MODULES = (
    "domain.artifacts",
    "domain.errors",
    "domain.message",
    "domain.mixed_transcript",
    "domain.session_registry",
    "domain.workflow.chats",
    "library",
    "library.agent_states",
    "library.agents",
    "library.calls",
    "library.search",
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
