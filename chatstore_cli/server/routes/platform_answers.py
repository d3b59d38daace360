"""The bodies of the multi-agent platform's routes, as OpenAPI describes them.

Payloads, states and messages are whatever was stored, so the models of answers describe them and do not check them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

Time = Annotated[str | None, Field(description="ISO 8601, or null if none is stored.")]

_CHAT = "4f0c8f6e-6a54-4f9c-9a55-0d9f3a3a5f11"
_AT, _LATER = "2026-02-01T10:00:00.000000+00:00", "2026-02-01T10:05:00.000000+00:00"
_ARTIFACT: dict[str, Any] = {
    "ui_tool_id": "revenue_dashboard",
    "event_id": "evt-1",
    "display": "artifact",
    "workflow_name": "research",
    "payload": {"title": "Revenue"},
    "updated_at": _LATER,
}
_RUNNING: dict[str, Any] = {
    "chat_id": _CHAT,
    "workflow_name": "research",
    "created_at": _AT,
    "last_updated_at": _LATER,
    "last_artifact": _ARTIFACT,
}
_GENERAL: dict[str, Any] = {
    "chat_id": "generalchat-acme-ana-0003",
    "label": "General Chat #3",
    "sequence": 3,
    "status": 0,
    "created_at": _AT,
    "last_updated_at": _LATER,
    "last_sequence": 2,
}
_MESSAGE: dict[str, Any] = {
    "role": "user",
    "content": "What did we decide?",
    "timestamp": _LATER,
    "event_type": "general_agent.message",
    "event_id": "general_0a6a7a2e-8f8e-4b7a-9a94-0f6c0f1f7f52",
    "sequence": 1,
    "agent_name": "user",
    "metadata": {"source": "general_agent", "ui_context": {}, "workflows": [], "user_id": "ana"},
}
_META: dict[str, Any] = {
    "exists": True,
    "chat_id": _CHAT,
    "workflow_name": "research",
    "has_children": False,
    "cache_seed": 1096253224,
    "status": 0,
    "last_sequence": 4,
    "last_artifact": _ARTIFACT,
    "artifact_instance_id": "artifact_0123456789ab",
    "artifact_state": {"page": 2},
    "app_id": "acme",
}


def _examples(*values: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [*values]})


class StartRequest(BaseModel):
    """Who starts a workflow. A repeated request with the same `client_request_id` gets the same session."""

    model_config = _examples({"user_id": "ana", "client_request_id": "r-1"})
    user_id: Annotated[str | None, Field(description="Without it, the user is `anonymous`.")] = None
    client_request_id: str | None = None
    force_new: Annotated[bool, Field(description="Start a session even if one has just been started.")] = False


class StartResponse(BaseModel):
    """The started session, and where its socket is."""

    model_config = _examples(
        {
            "success": True,
            "chat_id": _CHAT,
            "workflow_name": "research",
            "app_id": "acme",
            "user_id": "ana",
            "websocket_url": f"/ws/research/acme/{_CHAT}/ana",
            "message": "The session was started.",
            "reused": False,
            "cache_seed": 1096253224,
        }
    )
    success: Literal[True] = True
    chat_id: str
    workflow_name: str
    app_id: str
    user_id: str
    websocket_url: str
    message: str
    reused: bool = Field(description="Whether an earlier request has started the session.")
    cache_seed: int


class ChatIds(BaseModel):
    """Ids of sessions, the one created last first."""

    model_config = _examples({"chat_ids": [_CHAT]})
    chat_ids: list[str]


class Exists(BaseModel):
    """Whether a session exists."""

    model_config = _examples({"exists": True})
    exists: bool


class NoChat(BaseModel):
    """The session does not exist."""

    model_config = _examples({"exists": False})
    exists: Literal[False]


class ShownArtifact(BaseModel):
    """The artifact that a session showed last, as it is stored."""

    model_config = _examples(_ARTIFACT)
    ui_tool_id: str | None
    event_id: str | None
    display: str | None
    workflow_name: str | None
    payload: Any
    updated_at: Time


class ChatMeta(BaseModel):
    """What a client needs to open a session. `artifact_state` is the state of the stored ArtifactInstance."""

    model_config = _examples(_META)
    exists: Literal[True]
    chat_id: str
    workflow_name: str
    has_children: bool
    cache_seed: int
    status: int = Field(description="0 running, 1 completed, -1 failed or unknown.")
    last_sequence: int
    last_artifact: ShownArtifact | None
    artifact_instance_id: str | None
    artifact_state: dict[str, Any] | None
    app_id: str


class ShownMeta(RootModel[ChatMeta | NoChat]):
    """The session, or only that it does not exist."""

    model_config = _examples(_META, {"exists": False})


class RunningSession(BaseModel):
    """A running session."""

    model_config = _examples(_RUNNING)
    chat_id: str
    workflow_name: str | None
    created_at: Time
    last_updated_at: Time
    last_artifact: ShownArtifact | None


class RunningSessions(BaseModel):
    """The running sessions of a user, the most recently updated first."""

    model_config = _examples({"sessions": [_RUNNING], "count": 1})
    sessions: list[RunningSession]
    count: int


class RecentSession(RunningSession):
    """The running session that a user used last."""

    model_config = _examples({"found": True, **_RUNNING})
    found: Literal[True]


class NoRecentSession(BaseModel):
    """The user has no running session."""

    found: Literal[False]
    chat_id: None
    workflow_name: None


class ShownRecent(RootModel[RecentSession | NoRecentSession]):
    """The session, or that there is none."""

    model_config = _examples({"found": True, **_RUNNING})


class GeneralChatRow(BaseModel):
    """A general chat in a list. `status` is -1 if none is stored."""

    model_config = _examples(_GENERAL)
    chat_id: str
    label: str
    sequence: int
    status: int
    created_at: Time
    last_updated_at: Time
    last_sequence: int


class GeneralChatList(BaseModel):
    """The general chats of a user, the one created last first."""

    model_config = _examples({"sessions": [_GENERAL], "count": 1})
    sessions: list[GeneralChatRow]
    count: int


class GeneralTranscript(GeneralChatRow):
    """A general chat with its messages, in their order, each with every field that is stored."""

    model_config = _examples({**_GENERAL, "app_id": "acme", "user_id": "ana", "messages": [_MESSAGE]})
    app_id: str
    user_id: str | None
    messages: list[dict[str, Any]]
