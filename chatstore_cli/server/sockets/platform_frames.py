"""Frames of the multi-agent platform's socket: what clients may send, and the envelopes of what they get."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from chatstore_cli.domain.mixed_transcript import MixedTurn
from chatstore_cli.domain.responding import TurnUsage
from chatstore_cli.domain.times import format_instant

SCHEMA_VALIDATION_FAILED = "SCHEMA_VALIDATION_FAILED"
USER_MESSAGE_FAILED = "USER_MESSAGE_FAILED"
GENERAL_MODE_FAILED = "GENERAL_MODE_FAILED"
GENERAL_MODE_EMPTY_MESSAGE = "GENERAL_MODE_EMPTY_MESSAGE"
RESUME_FAILED = "RESUME_FAILED"
_MOST_RUNS = 20


class ClientFrame(BaseModel):
    """A frame of the client. Unknown keys are ignored."""

    model_config = ConfigDict(extra="ignore")


class UserInput(ClientFrame):
    """`user.input.submit`: what the user wrote, in a workflow or in general mode."""

    chat_id: str | None = None
    text: str
    request_id: str | None = Field(None, validation_alias=AliasChoices("request_id", "input_request_id"))
    context: dict[str, Any] | None = Field(None, validation_alias=AliasChoices("context", "ui_context"))


class UiToolResponse(ClientFrame):
    """`ui_tool_response`: it needs a running tool, and there is none here."""

    eventId: str = Field("", validation_alias=AliasChoices("eventId", "ui_tool_id"))


class ClientResume(ClientFrame):
    """`client.resume`: how much of a session the client has, by index or by sequence; -1 is nothing."""

    chat_id: str
    lastClientIndex: int | None = Field(None, ge=-1, lt=2**63)
    lastSequence: int | None = Field(None, ge=-1, lt=2**63)


class SwitchWorkflow(ClientFrame):
    """`chat.switch_workflow`."""

    chat_id: str = Field(min_length=1)
    frontend_context: dict[str, Any] | None = None


class StartWorkflow(ClientFrame):
    """`chat.start_workflow`."""

    workflow_name: str = Field(min_length=1)
    initial_message: str | None = Field(None, validation_alias=AliasChoices("initial_message", "message"))
    auto_run: bool = True
    initial_agent: str | None = None
    frontend_context: dict[str, Any] | None = None


class Run(ClientFrame):
    """One run of `chat.start_workflow_batch`."""

    workflow_name: str = Field(min_length=1)
    initial_message: str | None = Field(None, validation_alias=AliasChoices("initial_message", "message", "prompt"))
    initial_agent: str | None = None
    label: str | None = None


class StartWorkflowBatch(ClientFrame):
    """`chat.start_workflow_batch`."""

    runs: list[Run] = Field(min_length=1, max_length=_MOST_RUNS)
    activate_first: bool = False
    auto_run: bool = True


class NoFields(ClientFrame):
    """A frame without fields: `chat.enter_general_mode`, `chat.start_general_chat`."""


KNOWN: Mapping[str, type[ClientFrame]] = {
    "user.input.submit": UserInput,
    "ui_tool_response": UiToolResponse,
    "client.resume": ClientResume,
    "chat.enter_general_mode": NoFields,
    "chat.start_general_chat": NoFields,
    "chat.switch_workflow": SwitchWorkflow,
    "chat.start_workflow": StartWorkflow,
    "chat.start_workflow_batch": StartWorkflowBatch,
}


ERROR_CODES: Mapping[str, str] = {
    "user.input.submit": USER_MESSAGE_FAILED,
    "ui_tool_response": "UI_TOOL_RESPONSE_FAILED",
    "client.resume": RESUME_FAILED,
    "chat.enter_general_mode": GENERAL_MODE_FAILED,
    "chat.start_general_chat": "GENERAL_CHAT_CREATE_FAILED",
    "chat.switch_workflow": "SWITCH_WORKFLOW_FAILED",
    "chat.start_workflow": "START_WORKFLOW_FAILED",
    "chat.start_workflow_batch": "START_WORKFLOW_BATCH_FAILED",
}
"""The code of the error if a frame fails."""


class BadFrame(ValueError):
    """A frame that no client may send. Its text says why."""


def read_frame(frame: Mapping[str, Any]) -> ClientFrame:
    """The frame of a client. Its fields are beside `type`, or in `data`. Raises BadFrame."""
    kind = frame.get("type")
    model = KNOWN.get(kind) if isinstance(kind, str) else None
    if model is None:
        raise BadFrame(f"Unknown type of frame. Known types: {', '.join(KNOWN)}.")
    data = frame.get("data")
    fields = {**frame, **data} if isinstance(data, Mapping) else dict(frame)
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the frame"
        raise BadFrame(f"{where}: {first['msg']}") from error


def envelope(kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """A frame for the client."""
    return {"type": kind, "data": dict(data), "timestamp": datetime.now(UTC).isoformat()}


def error_frame(message: str, code: str) -> dict[str, Any]:
    """An error for the client."""
    return envelope("chat.error", {"message": message, "error_code": code})


def usage_frame(kind: str, chat_id: str, part: TurnUsage) -> dict[str, Any]:
    """What an answer used. A cost is a decimal number as text, because it is exact."""
    used = part.usage
    data = {
        "chat_id": chat_id,
        "prompt_tokens": used.prompt_tokens,
        "completion_tokens": used.completion_tokens,
        "total_tokens": used.total_tokens,
        "cost": None if used.cost is None else str(used.cost),
        "model": part.model,
    }
    return envelope(kind, data)


def turn_frame(turn: MixedTurn, *, is_replay: bool) -> dict[str, Any]:
    """A stored turn, replayed or live."""
    message = turn.message
    name = message.name or message.role
    return envelope(
        "chat.text",
        {
            "index": turn.index_in_source,
            "sequence": message.sequence,
            "chat_id": turn.source.session_id,
            "content": message.content,
            "role": message.role,
            "agent": name,
            "sender": name,
            "replay": is_replay,
            "timestamp": None if message.created_at is None else format_instant(message.created_at),
            "metadata": dict(message.metadata or {}),
        },
    )
