"""The multi-agent platform: workflow sessions, general chats, and input that a workflow waits for."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query
from fastapi.responses import Response

from chatstore_cli.core.workflow.client_chats import cache_seed
from chatstore_cli.domain.api_keys import Access
from chatstore_cli.domain.artifacts import LastArtifact
from chatstore_cli.domain.errors import ChatstoreError, PrerequisiteRefused
from chatstore_cli.domain.mixed_transcript import GENERAL_LAYOUT
from chatstore_cli.domain.session import Session, SessionStatus
from chatstore_cli.domain.times import format_instant
from chatstore_cli.render.json_text import as_json
from chatstore_cli.server.entrance.auditing import note_reading
from chatstore_cli.server.errors.error_bodies import Refusal, refusal_of
from chatstore_cli.server.requests import Reader, Served, Writer
from chatstore_cli.server.routes.page_text import PageText, json_response
from chatstore_cli.server.routes.platform_answers import (
    ChatIds,
    Exists,
    GeneralChatList,
    GeneralTranscript,
    RunningSessions,
    ShownMeta,
    ShownRecent,
    StartRequest,
    StartResponse,
)
from chatstore_cli.server.routes.store_query import StoredJson

router = APIRouter(tags=["Multi-agent platform"])

_ANONYMOUS = "anonymous"
_NOT_STARTED = "Failed to start chat: "
_IN_PATHS = "!$&'()*+,;=:@"
"""Characters that a part of a path may have as they are."""
_STATUS_NUMBERS = {SessionStatus.RUNNING: 0, SessionStatus.COMPLETED: 1, SessionStatus.FAILED: -1}
_UNKNOWN_STATUS = -1
_SMALLER_TRANSCRIPT = "Use limit={rows}, and after_sequence for the following messages, from 0."
NO_GENERAL_CHAT = "General chat not found"


@router.post("/api/chats/{app_id}/{workflow_name}/start", response_model=StartResponse)
async def start(
    app_id: str, workflow_name: str, services: Served, access: Writer, body: StartRequest | None = None
) -> StartResponse:
    """Start a workflow session. A second request within chatstore.server.chat_start_seconds (15) gets the same session."""
    require_tenant(access, app_id)
    asked = body or StartRequest()
    user = asked.user_id or _ANONYMOUS
    if {app_id, workflow_name, user} & {".", ".."}:
        raise Refusal(HTTPStatus.BAD_REQUEST, "An id cannot be . or .. because no client could open the socket's path.")
    seconds = services.settings.chatstore.server.chat_start_seconds
    try:
        started = await services.reading.run(
            lambda: services.platform.start(
                app_id,
                workflow_name,
                user,
                request_id=asked.client_request_id or None,
                force_new=asked.force_new,
                reuse_seconds=seconds,
            )
        )
    except PrerequisiteRefused as error:
        raise Refusal(HTTPStatus.CONFLICT, str(error.facts["reason"])) from error
    except ChatstoreError as error:
        refusal = refusal_of(error)
        if refusal.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        raise Refusal(refusal.status, f"{_NOT_STARTED}{refusal.message}", kind=refusal.kind) from error
    chat_id = started.chat_id
    return StartResponse(
        chat_id=chat_id,
        workflow_name=workflow_name,
        app_id=app_id,
        user_id=user,
        websocket_url="/ws/" + "/".join(quote(each, _IN_PATHS) for each in (workflow_name, app_id, chat_id, user)),
        message="The session was started before." if started.reused else "The session was started.",
        reused=started.reused,
        cache_seed=cache_seed(app_id, chat_id),
    )


@router.get(
    "/api/chats/{app_id}/{workflow_name}", response_class=StoredJson, responses={HTTPStatus.OK: {"model": ChatIds}}
)
async def newest(app_id: str, workflow_name: str, services: Served, access: Reader) -> StoredJson:
    """The ids of the newest 20 sessions of a workflow."""
    chat_ids: list[str] = []
    if access.sees(app_id):
        chat_ids = await services.reading.run(lambda: services.platform.newest(app_id, workflow_name))
    return StoredJson({"chat_ids": chat_ids})


@router.get(
    "/api/chats/exists/{app_id}/{workflow_name}/{chat_id:path}",
    response_class=StoredJson,
    responses={HTTPStatus.OK: {"model": Exists}},
)
async def exists(app_id: str, workflow_name: str, chat_id: str, services: Served, access: Reader) -> StoredJson:
    """Whether a session exists."""
    found = None
    if access.sees(app_id):
        found = await services.reading.run(lambda: services.platform.find(app_id, workflow_name, chat_id))
    return StoredJson({"exists": found is not None})


@router.get(
    "/api/chats/meta/{app_id}/{workflow_name}/{chat_id:path}",
    response_class=StoredJson,
    responses={HTTPStatus.OK: {"model": ShownMeta}},
)
async def meta(app_id: str, workflow_name: str, chat_id: str, services: Served, access: Reader) -> StoredJson:
    """What a client needs to open a session."""
    facts = None
    if access.sees(app_id):
        facts = await services.reading.run(lambda: services.platform.facts(app_id, workflow_name, chat_id))
    if facts is None:
        return StoredJson({"exists": False})
    instance = facts.artifacts.instance
    return StoredJson(
        {
            "exists": True,
            "chat_id": chat_id,
            "workflow_name": facts.session.workflow or workflow_name,
            "has_children": False,
            "cache_seed": cache_seed(app_id, chat_id),
            "status": status_number(facts.session.status),
            "last_sequence": facts.last_sequence,
            "last_artifact": artifact_body(facts.artifacts.last),
            "artifact_instance_id": facts.artifacts.artifact_id,
            "artifact_state": None if instance is None else instance.state,
            "app_id": app_id,
        }
    )


@router.get(
    "/api/sessions/list/{app_id}/{user_id:path}",
    response_class=StoredJson,
    responses={HTTPStatus.OK: {"model": RunningSessions}},
)
async def running(app_id: str, user_id: str, services: Served, access: Reader) -> Response:
    """The running sessions of a user, the most recently updated first: at most 100, and at most 16 MiB of artifacts."""

    def read() -> bytes:
        page = PageText()
        for each in services.platform.running(app_id, user_id) if access.sees(app_id) else ():
            if not page.add(as_json(session_body(*each), indented=False)):
                break
        return page.body("sessions", after={"count": len(page)})

    return json_response(await services.reading.run(read))


@router.get(
    "/api/sessions/recent/{app_id}/{user_id:path}",
    response_class=StoredJson,
    responses={HTTPStatus.OK: {"model": ShownRecent}},
)
async def recent(app_id: str, user_id: str, services: Served, access: Reader) -> StoredJson:
    """The running session that a user used last."""
    found = []
    if access.sees(app_id):
        found = await services.reading.run(lambda: services.platform.running(app_id, user_id, 1))
    if not found:
        return StoredJson({"found": False, "chat_id": None, "workflow_name": None})
    return StoredJson({"found": True, **session_body(*found[0])})


@router.get(
    "/api/general_chats/list/{app_id}/{user_id:path}",
    response_class=StoredJson,
    responses={HTTPStatus.OK: {"model": GeneralChatList}},
)
async def general_chats(
    app_id: str,
    user_id: str,
    services: Served,
    access: Reader,
    limit: Annotated[int, Query(description="Clamped to 1 to 200.")] = 50,
) -> StoredJson:
    """The newest general chats of a user."""
    chats: list[dict[str, Any]] = []
    if access.sees(app_id):
        chats = await services.reading.run(
            lambda: services.general.list_general_chats(app_id=app_id, user_id=user_id, limit=limit)
        )
    return StoredJson({"sessions": [_iso(chat) for chat in chats], "count": len(chats)})


@router.get(
    "/api/general_chats/transcript/{app_id}/{general_chat_id:path}",
    response_class=StoredJson,
    responses={HTTPStatus.OK: {"model": GeneralTranscript}},
)
async def general_transcript(
    app_id: str,
    general_chat_id: str,
    services: Served,
    access: Reader,
    after_sequence: Annotated[int, Query(description="-1: the newest messages.")] = -1,
    limit: Annotated[int, Query(description="Clamped to 2,000. 0 and less: all messages.")] = 200,
) -> Response:
    """A general chat with its messages: the oldest ones after `after_sequence`, or the newest ones.

    Messages of more than 16 MiB get 413, with the limit that fits.
    """
    page = PageText()

    def read() -> bytes | None:
        found = services.general.stream_transcript(
            general_chat_id=general_chat_id, app_id=app_id, after_sequence=after_sequence, limit=limit
        )
        if found is None:
            return None
        facts, messages = found
        for message in messages:
            page.add_or_refuse(as_json(_iso(message), indented=False), _SMALLER_TRANSCRIPT)
        return page.body("messages", before=_iso(facts))

    body = await services.reading.run(read) if access.sees(app_id) else None
    if body is None:
        raise Refusal(HTTPStatus.NOT_FOUND, NO_GENERAL_CHAT)
    if len(page):
        await note_reading(services, access, [(GENERAL_LAYOUT, general_chat_id)])
    return json_response(body)


def require_tenant(access: Access, tenant: str) -> None:
    """Raise Refusal for a tenant that the caller does not act for, whether or not it exists."""
    if not access.sees(tenant):
        raise Refusal(HTTPStatus.FORBIDDEN, "The key is not for this tenant.", kind="tenant")


def session_body(session: Session, artifact: LastArtifact | None) -> dict[str, Any]:
    """A running session as this platform lists it."""
    return {
        "chat_id": session.session_id,
        "workflow_name": session.workflow,
        "created_at": instant(session.created_at),
        "last_updated_at": instant(session.updated_at),
        "last_artifact": artifact_body(artifact),
    }


def artifact_body(artifact: LastArtifact | None) -> dict[str, Any] | None:
    """The artifact that a session showed last, as it is stored."""
    if artifact is None:
        return None
    return {
        "ui_tool_id": artifact.ui_tool_id,
        "event_id": artifact.event_id,
        "display": artifact.display,
        "workflow_name": artifact.workflow,
        "payload": artifact.payload,
        "updated_at": instant(artifact.updated_at),
    }


def _iso(value: Any) -> Any:
    """The value with times as this platform writes them."""
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, dict):
        return {name: _iso(item) for name, item in value.items()}
    return [_iso(item) for item in value] if isinstance(value, list) else value


def status_number(status: SessionStatus) -> int:
    """A status as this platform stores it."""
    return _STATUS_NUMBERS.get(status, _UNKNOWN_STATUS)


def instant(moment: datetime | None) -> str | None:
    """A time as this platform writes it."""
    return None if moment is None else format_instant(moment)
