"""Calls of the voice platform: `/session` and `/session/end` of its first version, `/v1/sessions/...` of the later one."""

from __future__ import annotations

import hashlib
import logging
import uuid
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import AfterValidator, BaseModel, ConfigDict

from chatstore_cli.core.agents.resolver import ResolvedConfig
from chatstore_cli.domain.api_keys import Access
from chatstore_cli.domain.calls import CallSession
from chatstore_cli.domain.errors import ChatstoreError, NotFound
from chatstore_cli.server.dispatch import Dispatched, DispatchRequest
from chatstore_cli.server.error_bodies import Refusal
from chatstore_cli.server.requests import Served, Writer
from chatstore_cli.server.routes.agents import in_database
from chatstore_cli.server.services import Services
from chatstore_cli.server.tenants import of_any_tenant, owner_of
from chatstore_cli.wiring.agents import agent_resolver
from chatstore_cli.wiring.calls import call_sessions

router = APIRouter(tags=["Calls"])

_LOG = logging.getLogger("chatstore.server")
_LONGEST = 128
_MARK = 12


def _is_name(text: str) -> bool:
    return all(each.isascii() and (each.isalnum() or each in "_-") for each in text)


def _identity(text: str) -> str:
    if not text:
        raise ValueError("userIdentity cannot be empty")
    if len(text) > _LONGEST:
        raise ValueError(f"userIdentity must be {_LONGEST} characters or less")
    if not _is_name(text):
        raise ValueError("userIdentity can only contain letters, numbers, underscores, and hyphens")
    return text


def _room(text: str | None) -> str | None:
    if text and (len(text) > _LONGEST or not _is_name(text)):
        raise ValueError("roomName can only contain up to 128 letters, numbers, underscores, and hyphens")
    return text or None


class StartCall(BaseModel):
    """Who calls, and which agent answers. `agentConfig` is merged over the agent's stored configuration."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"userIdentity": "ana", "roomName": "room-1"}]})
    userIdentity: Annotated[str, AfterValidator(_identity)]
    roomName: Annotated[str | None, AfterValidator(_room)] = None
    agentId: str | None = None
    agentConfig: dict[str, Any] | None = None


class EndCall(BaseModel):
    """The call to end, by its room, or in the later version by its id."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"roomName": "room-1"}]})
    roomName: str | None = None
    sessionId: str | None = None


@router.post("/session")
async def start(body: StartCall, services: Served, access: Writer) -> dict[str, Any]:
    """Start a call: it is stored before the agent is sent."""
    call, sent, resolved = await start_call(body, services, access)
    return {
        "userToken": sent.user_token,
        "roomName": call.room,
        "livekitUrl": sent.url,
        "agentDispatched": sent.agent_dispatched,
        "agentConfig": _public(resolved),
    }


@router.post("/v1/sessions/start")
async def start_later(body: StartCall, services: Served, access: Writer) -> dict[str, Any]:
    """Start a call, as the later version does: the answer has the call's id too."""
    call, sent, resolved = await start_call(body, services, access)
    return {
        "userToken": sent.user_token,
        "roomName": call.room,
        "sessionId": call.session_id,
        "livekitUrl": sent.url,
        "agentDispatched": sent.agent_dispatched,
        "agentConfig": _public(resolved),
    }


@router.post("/session/end", status_code=HTTPStatus.NO_CONTENT, response_class=Response)
@router.post("/v1/sessions/end", status_code=HTTPStatus.NO_CONTENT, response_class=Response)
async def end(body: EndCall, services: Served, access: Writer) -> Response:
    """End the call that is open in a room, or the one with an id."""
    room, session_id = body.roomName or None, body.sessionId or None
    if (room is None) == (session_id is None):
        raise Refusal(HTTPStatus.BAD_REQUEST, "Either roomName or sessionId is required")
    try:
        await in_database(
            services,
            lambda: of_any_tenant(
                access,
                lambda tenant: _end_call(services, tenant, room, session_id),
            ),
        )
    except NotFound as error:
        what = "room" if session_id is None else "sessionId"
        raise Refusal(HTTPStatus.NOT_FOUND, f"Session not found for {what}") from error
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _end_call(services: Services, tenant: str | None, room: str | None, session_id: str | None) -> CallSession:
    calls = call_sessions(services.stores)
    if room is None or tenant is None:
        return calls.end(session_id=session_id, room=room, tenant_id=tenant)
    try:
        return calls.end(room=room, tenant_id=tenant)
    except NotFound:
        return calls.end(room=_room_of(tenant, room), tenant_id=tenant)


def _room_of(tenant: str | None, name: str) -> str:
    """The room for a name that a caller chose.

    A room has one call over all tenants. So the rooms of a tenant's key end with a mark of the tenant: two tenants never
    meet in a room, and none learns from a conflict that another one uses a name.
    """
    return name if tenant is None else f"{name}-{hashlib.sha256(tenant.encode()).hexdigest()[:_MARK]}"


async def start_call(
    body: StartCall, services: Services, access: Access
) -> tuple[CallSession, Dispatched, ResolvedConfig]:
    """Store the call, then ask the hook for a token and an agent. If the hook fails, the call is ended again."""
    owner, session_id = owner_of(access), str(uuid.uuid4())
    room = _room_of(owner, body.roomName) if body.roomName else f"room-{uuid.uuid4()}"

    def open_call() -> tuple[CallSession, ResolvedConfig]:
        resolved = of_any_tenant(
            access,
            lambda tenant: agent_resolver(services.stores).resolve(body.agentId, body.agentConfig, tenant_id=tenant),
        )
        call = call_sessions(services.stores).start(
            room, session_id=session_id, tenant_id=owner, user_identity=body.userIdentity, agent_id=resolved.agent_id
        )
        return call, resolved

    call, resolved = await in_database(services, open_call)
    config = {**resolved.config, "user_id": body.userIdentity, "session_id": call.session_id}
    if resolved.agent_id is not None:
        config["agent_id"] = resolved.agent_id
    request = DispatchRequest(room, call.session_id, body.userIdentity, resolved.agent_id, owner, config)
    try:
        sent = await services.dispatch.send(request)
    except Exception as error:
        _LOG.warning("The dispatch function failed: %s", type(error).__name__)
        await _end_again(services, call)
        raise Refusal(HTTPStatus.BAD_GATEWAY, "Failed to dispatch agent") from error
    return call, sent, resolved


async def _end_again(services: Services, call: CallSession) -> None:
    try:
        await in_database(
            services,
            lambda: call_sessions(services.stores).end(session_id=call.session_id, close_reason="dispatch failed"),
        )
    except (ChatstoreError, Refusal):
        _LOG.warning("The call %s could not be ended after its dispatch failed.", call.session_id)


def _public(resolved: ResolvedConfig) -> dict[str, Any]:
    """What the caller gets of the configuration: never more than the engine and the tools."""
    return {"engine": resolved.config.get("engine"), "tools": resolved.config.get("tools", [])}
