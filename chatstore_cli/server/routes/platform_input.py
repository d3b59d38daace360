"""The multi-agent platform: input that a client sends by POST instead of through its socket."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from chatstore_cli.server.errors.error_bodies import Refusal
from chatstore_cli.server.requests import Served, Writer
from chatstore_cli.server.services import Services
from chatstore_cli.server.turns.input_requests import InputRequest
from chatstore_cli.server.turns.platform_turns import PlatformTurns, workflow_session

router = APIRouter(tags=["Multi-agent platform"])

_EMPTY = "Message cannot be empty."
NO_CHAT = "Chat not found"
NO_REQUEST = "Input request not found"


class InputBody(BaseModel):
    """What a user writes in a workflow session. Without `workflow_name`, the session's workflow is used."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"message": "Go on.", "workflow_name": "research"}]})
    message: str | None = None
    workflow_name: str | None = None


class InputAnswer(BaseModel):
    """The message was recorded. The answer comes through the sockets of the session."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "accepted", "transport": "websocket"}]})
    status: str = "accepted"
    transport: str = "websocket"


class SubmitBody(BaseModel):
    """The answer to a request for input, whose id is in the frame `chat.input_request`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"input_request_id": "in-1", "user_input": "Yes."}]})
    input_request_id: str
    user_input: str | None = None


class SubmitAnswer(BaseModel):
    """The input was recorded."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"status": "success", "message": "The input was submitted."}]}
    )
    status: str = "success"
    message: str = "The input was submitted."


@router.post("/chat/{app_id}/{chat_id}/{user_id:path}/input", response_model=InputAnswer)
async def send_input(
    app_id: str, chat_id: str, user_id: str, body: InputBody, services: Served, access: Writer
) -> InputAnswer:
    """Record what a user writes in a workflow session, and answer it."""
    message = _text(body.message)
    session = None
    if access.sees(app_id):
        session = await services.reading.run(
            lambda: services.platform.find(app_id, body.workflow_name or None, chat_id)
        )
    if session is None or session.user_id not in (None, user_id):
        raise Refusal(HTTPStatus.NOT_FOUND, NO_CHAT)
    workflow = session.workflow or body.workflow_name or ""
    await _record(services, InputRequest(app_id, user_id, chat_id, workflow), message, None)
    return InputAnswer()


@router.post("/api/user-input/submit", response_model=SubmitAnswer)
async def submit(body: SubmitBody, services: Served, access: Writer) -> SubmitAnswer:
    """Answer a request for input. Its first answer counts; afterwards the request does not exist any more."""
    text, requests = _text(body.user_input), services.input_requests
    asked = requests.find(body.input_request_id, access)
    if asked is None:
        raise Refusal(HTTPStatus.NOT_FOUND, NO_REQUEST)
    requests.close(body.input_request_id, asked)  # before anything is awaited: of several answers one counts
    try:
        await _record(services, asked, text, body.input_request_id)
    except BaseException:
        requests.open(body.input_request_id, asked)
        raise
    return SubmitAnswer()


def _text(text: str | None) -> str:
    """What the user wrote. Raises Refusal if that is nothing."""
    if text is None or not text.strip():
        raise Refusal(HTTPStatus.BAD_REQUEST, _EMPTY)
    return text


async def _record(services: Services, to: InputRequest, text: str, request_id: str | None) -> None:
    """Record the input, and answer it in the background. Sockets of the session get the answer."""
    turns = PlatformTurns(services, to.tenant, to.user)
    turn = turns.turn(workflow_session(to.chat_id), text, request_id, workflow=to.workflow)
    await turns.record(turn, request_id)
    turns.answer_later(turn)
