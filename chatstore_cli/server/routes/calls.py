"""Calls of the voice platform: `/session` and `/session/end` of its first version, `/v1/sessions/...` of the later one.

Rooms. A room has one open call over all tenants, so a refusal could show a tenant that another one uses the room. So each
tenant has rooms of its own: a call that is started with the key of a tenant is in a room whose name begins with a mark of
that tenant (`room_of`). The answer has that name, and a call can be ended by it or by the name that was asked for. Without
keys, and with a key for all tenants, rooms have the names that were asked for.

A user who starts a call in a room in which the same user has one already has come back, for example after a page was
reloaded: the former call is ended. The call of another user is not: 409.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from chatstore_cli.core.agents.resolver import ResolvedConfig
from chatstore_cli.core.call_sessions.calls import LONGEST_TEXT, CallSessions
from chatstore_cli.domain.api_keys import Access
from chatstore_cli.domain.calls import CallSession
from chatstore_cli.domain.errors import ChatstoreError, NotFound
from chatstore_cli.server.entrance.tenants import of_any_tenant, owner_of, tenants_of
from chatstore_cli.server.errors.error_bodies import Refusal
from chatstore_cli.server.requests import Served, Writer
from chatstore_cli.server.routes.agent_answers import (
    DISPATCH_ERROR,
    ERRORS,
    Config,
    GivenAgentId,
    in_database,
    shown_config,
)
from chatstore_cli.server.services import Services
from chatstore_cli.server.turns.dispatch import Dispatched, DispatchFailed, DispatchRequest
from chatstore_cli.wiring.agents import agent_resolver
from chatstore_cli.wiring.calls import call_sessions

router = APIRouter(tags=["Calls"], responses=ERRORS)

_LOG = logging.getLogger("chatstore.server")
_LONGEST = 128
_SESSION_ID = "7d0a4c52-6a0f-4f3e-8f5e-2f8f6c1f9f01"
_STARTED: JsonDict = {
    "userToken": None,
    "roomName": "room-1",
    "livekitUrl": None,
    "agentDispatched": False,
    "agentConfig": {"engine": {"kind": "pipeline"}, "tools": ["get_weather"]},
}


def _check_name(text: str, field: str) -> str:
    if len(text) > _LONGEST:
        raise ValueError(f"{field} must be {_LONGEST} characters or less")
    if not all(each.isascii() and (each.isalnum() or each in "_-") for each in text):
        raise ValueError(f"{field} can only contain letters, numbers, underscores, and hyphens")
    return text


def _identity(text: str) -> str:
    if not text:
        raise ValueError("userIdentity cannot be empty")
    return _check_name(text, "userIdentity")


def _required(field: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not text:
            raise ValueError(f"{field} is required")
        return text

    return check


Identity = Annotated[str, AfterValidator(_identity), Field(json_schema_extra={"pattern": r"^[A-Za-z0-9_-]{1,128}$"})]
Room = Annotated[
    str,
    AfterValidator(lambda text: _check_name(text, "roomName")),
    Field(json_schema_extra={"pattern": r"^[A-Za-z0-9_-]{0,128}$"}),
]
GivenRoom = Annotated[str, AfterValidator(_required("roomName")), Field(json_schema_extra={"minLength": 1})]


EndedName = Annotated[str, Field(json_schema_extra={"maxLength": LONGEST_TEXT, "pattern": r"^[^\u0000]*$"})]


class StartCall(BaseModel):
    """Who calls, and which agent answers. `agentConfig` is merged over the agent's stored configuration."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"userIdentity": "ana", "roomName": "room-1"}, {"userIdentity": "ana"}]}
    )
    userIdentity: Identity
    roomName: Room | None = None
    agentId: GivenAgentId | None = None
    agentConfig: Config | None = None


class EndCall(BaseModel):
    """The room of the call to end."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"roomName": "room-1"}]})
    roomName: GivenRoom


class EndLaterCall(BaseModel):
    """The call to end, by its room or by its id, and not by both."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"sessionId": _SESSION_ID}],
            "anyOf": [
                {"required": ["roomName"], "properties": {"roomName": {"minLength": 1}, "sessionId": {"maxLength": 0}}},
                {
                    "required": ["sessionId"],
                    "properties": {"sessionId": {"minLength": 1}, "roomName": {"maxLength": 0}},
                },
            ],
        }
    )
    roomName: EndedName = ""
    sessionId: EndedName = ""


class PublicConfig(BaseModel):
    """What the caller gets of the resolved configuration. Secrets are masked."""

    engine: Any
    tools: list[str]


class StartedCall(BaseModel):
    """A call that has begun. Without a dispatch function there is no token and no URL, and no agent was sent."""

    model_config = ConfigDict(json_schema_extra={"examples": [_STARTED]})
    userToken: str | None
    roomName: str
    livekitUrl: str | None
    agentDispatched: bool
    agentConfig: PublicConfig


class StartedLaterCall(BaseModel):
    """A call that has begun, with its id."""

    model_config = ConfigDict(json_schema_extra={"examples": [_STARTED | {"sessionId": _SESSION_ID}]})
    userToken: str | None
    roomName: str
    sessionId: str
    livekitUrl: str | None
    agentDispatched: bool
    agentConfig: PublicConfig


@router.post("/session", responses=DISPATCH_ERROR)
async def start(body: StartCall, services: Served, access: Writer) -> StartedCall:
    """Start a call: it is stored before the agent is sent."""
    call, sent, resolved = await _start(body, services, access, is_first=True)
    return StartedCall(
        userToken=sent.user_token,
        roomName=call.room,
        livekitUrl=sent.url,
        agentDispatched=sent.agent_dispatched,
        agentConfig=_public(resolved),
    )


@router.post("/v1/sessions/start", responses=DISPATCH_ERROR)
async def start_later(body: StartCall, services: Served, access: Writer) -> StartedLaterCall:
    """Start a call, as the later version does: the answer has the call's id too."""
    call, sent, resolved = await _start(body, services, access, is_first=False)
    return StartedLaterCall(
        userToken=sent.user_token,
        roomName=call.room,
        sessionId=call.session_id,
        livekitUrl=sent.url,
        agentDispatched=sent.agent_dispatched,
        agentConfig=_public(resolved),
    )


@router.post("/session/end", status_code=HTTPStatus.NO_CONTENT, response_class=Response)
async def end(body: EndCall, services: Served, access: Writer) -> Response:
    """End the call that is open in a room. A call that has ended already stays as it is."""
    return await _end(services, access, room=body.roomName, session_id=None)


@router.post("/v1/sessions/end", status_code=HTTPStatus.NO_CONTENT, response_class=Response)
async def end_later(body: EndLaterCall, services: Served, access: Writer) -> Response:
    """End the call that is open in a room, or the one with an id. A call that has ended already stays as it is."""
    room, session_id = body.roomName or None, body.sessionId or None
    if (room is None) == (session_id is None):
        raise Refusal(HTTPStatus.BAD_REQUEST, "Either roomName or sessionId is required")
    return await _end(services, access, room=room, session_id=session_id)


async def _start(
    body: StartCall, services: Services, access: Access, *, is_first: bool
) -> tuple[CallSession, Dispatched, ResolvedConfig]:
    """Store the call, then ask the hook for a token and an agent. If the hook fails, the call is ended again."""
    asked, session_id, owner = body.roomName or f"room-{uuid.uuid4()}", str(uuid.uuid4()), owner_of(access)
    room = asked if owner is None else room_of(owner, asked)

    def open_call() -> tuple[CallSession, ResolvedConfig]:
        resolver = agent_resolver(services.stores, derived_fields=is_first)
        resolved = resolver.resolve(body.agentId, body.agentConfig, tenant_id=owner)
        call = call_sessions(services.stores).start(
            room,
            session_id=session_id,
            tenant_id=resolved.tenant_id,
            user_identity=body.userIdentity,
            agent_id=resolved.agent_id,
            replaces_own=True,
        )
        return call, resolved

    call, resolved = await in_database(services, open_call)
    # In the first version a call has no id of its own, and its agent does not know which one it is.
    ids = {"user_id": body.userIdentity, "session_id": room if is_first else call.session_id}
    if not is_first and resolved.agent_id is not None:
        ids["agent_id"] = resolved.agent_id
    config = {**resolved.config, **ids}
    request = DispatchRequest(room, call.session_id, body.userIdentity, resolved.agent_id, call.tenant_id, config)
    try:
        sent = await services.dispatch.send(request)
    except DispatchFailed as error:
        _LOG.warning("The dispatch function failed for the call %s: %s.", call.session_id, error)
        await _end_again(services, call)
        raise Refusal(HTTPStatus.BAD_GATEWAY, "Failed to dispatch agent") from error
    return call, sent, resolved


def room_of(tenant_id: str, name: str) -> str:
    """The room of a tenant that was asked for by a name, within the length of names. It is its own room."""
    mark = f"t{hashlib.sha256(tenant_id.encode()).hexdigest()[:12]}-"
    if name.startswith(mark):
        return name
    return mark + (name if len(mark) + len(name) <= _LONGEST else hashlib.sha256(name.encode()).hexdigest())


async def _end_again(services: Services, call: CallSession) -> None:
    try:
        await in_database(
            services,
            lambda: call_sessions(services.stores).end(session_id=call.session_id, close_reason="dispatch failed"),
        )
    except (ChatstoreError, Refusal):
        _LOG.warning("The call %s could not be ended after its dispatch failed.", call.session_id)


async def _end(services: Services, access: Access, *, room: str | None, session_id: str | None) -> Response:
    def end_call() -> None:
        calls = call_sessions(services.stores)
        if room is None:
            of_any_tenant(access, lambda tenant: calls.end(session_id=session_id, tenant_id=tenant))
        else:
            _end_in_room(calls, access, room)

    try:
        await in_database(services, end_call)
    except NotFound as error:
        what = "room" if session_id is None else "sessionId"
        raise Refusal(HTTPStatus.NOT_FOUND, f"Session not found for {what}") from error
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _end_in_room(calls: CallSessions, access: Access, name: str) -> None:
    """End the open call in the room of this name, of any of the caller's tenants. Raises NotFound if it never had one."""
    tenants = tenants_of(access)
    rooms = [(tenant, room) for tenant in tenants for room in {name, name if tenant is None else room_of(tenant, name)}]
    is_open = [calls.find_by_room(room, tenant_id=tenant) is not None for tenant, room in rooms]
    chosen = [each for each, flag in zip(rooms, is_open, strict=True) if flag] or rooms
    missing: NotFound | None = None
    for tenant, room in chosen:
        try:
            calls.end(room=room, tenant_id=tenant)
            return
        except NotFound as error:
            missing = error
    assert missing is not None
    raise missing


def _public(resolved: ResolvedConfig) -> PublicConfig:
    """What the caller gets of the configuration: never more than the engine and the tools."""
    shown = shown_config({"engine": resolved.config.get("engine")})
    return PublicConfig(engine=shown["engine"], tools=resolved.config.get("tools", []))
