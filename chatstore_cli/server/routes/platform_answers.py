"""The answers of the multi-agent platform's routes, as OpenAPI describes them. They describe answers and do not check them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

_CHAT: dict[str, Any] = {
    "chat_id": "4f1c9a",
    "workflow_name": "support",
    "created_at": "2026-02-01T10:00:00.000000+00:00",
    "last_updated_at": "2026-02-01T10:05:00.000000+00:00",
    "last_artifact": None,
}
_GENERAL: dict[str, Any] = {
    "chat_id": "generalchat-acme-ana-0003",
    "label": "General Chat #3",
    "sequence": 3,
    "status": 0,
    "created_at": "2026-02-01T10:00:00.000000+00:00",
    "last_updated_at": "2026-02-01T10:05:00.000000+00:00",
    "last_sequence": 2,
}


def _with_example(**values: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [values]})


class ChatIds(BaseModel):
    """The ids of sessions, the newest first."""

    model_config = _with_example(chat_ids=["4f1c9a"])
    chat_ids: list[str]


class Existence(BaseModel):
    """Whether a session exists."""

    model_config = _with_example(exists=True)
    exists: bool


class ChatMeta(BaseModel):
    """What a client needs to open a session. For a session that does not exist only `exists`."""

    model_config = _with_example(
        exists=True,
        chat_id="4f1c9a",
        workflow_name="support",
        has_children=False,
        cache_seed=12345,
        status=0,
        last_sequence=2,
        last_artifact=None,
        artifact_instance_id=None,
        artifact_state=None,
        app_id="acme",
    )
    exists: bool
    chat_id: str | None = None
    workflow_name: str | None = None
    has_children: bool = False
    cache_seed: int = 0
    status: int = 0
    last_sequence: Any = None
    last_artifact: Any = None
    artifact_instance_id: Any = None
    artifact_state: Any = None
    app_id: str | None = None


class RunningChats(BaseModel):
    """Running sessions, the most recently updated first."""

    model_config = _with_example(sessions=[_CHAT], count=1)
    sessions: list[dict[str, Any]]
    count: int


class RecentChat(BaseModel):
    """The session that was used last. With `found` false, the other values are null."""

    model_config = _with_example(found=True, **_CHAT)
    found: bool
    chat_id: str | None
    workflow_name: str | None
    created_at: str | None = None
    last_updated_at: str | None = None
    last_artifact: Any = None


class GeneralChats(BaseModel):
    """General chats, the newest first."""

    model_config = _with_example(sessions=[_GENERAL], count=1)
    sessions: list[dict[str, Any]]
    count: int


class GeneralTranscript(BaseModel):
    """A general chat with its messages as they are stored."""

    model_config = _with_example(**_GENERAL, app_id="acme", user_id="ana", messages=[])
    chat_id: str
    label: Any
    sequence: Any
    status: Any
    app_id: Any
    user_id: Any
    created_at: Any
    last_updated_at: Any
    last_sequence: Any
    messages: list[dict[str, Any]]
