"""The socket of the multi-agent platform: `/ws/{workflow}/{app}/{chat}/{user}`."""

from __future__ import annotations

import asyncio
import logging
import uuid
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, WebSocket

from chatstore_cli.core.workflow.client_chats import cache_seed
from chatstore_cli.domain.api_keys import Access, Right
from chatstore_cli.domain.errors import ChatstoreError, PrerequisiteRefused
from chatstore_cli.domain.mixed_transcript import GENERAL_LAYOUT, WORKFLOW_LAYOUT, ClientPosition, TranscriptSource
from chatstore_cli.domain.session import Session
from chatstore_cli.server.error_bodies import refusal_of, unexpected
from chatstore_cli.server.requests import services_of
from chatstore_cli.server.routes.platform import artifact_body, instant, status_number
from chatstore_cli.server.services import Services
from chatstore_cli.server.sockets import platform_frames as wire
from chatstore_cli.server.sockets.frames import Frames, InvalidFrame, accepted
from chatstore_cli.server.sockets.platform_replay import PlatformReplay
from chatstore_cli.server.sockets.platform_work import PlatformWork

router = APIRouter()

_LOG = logging.getLogger("chatstore.server")
_PING_SECONDS = 120.0
_POLL_SECONDS = 60.0
"""How often a socket reads without a reported change, for example after the thread that follows changes has failed."""
_TRY_AGAIN_LATER = 1013
_DEFAULT_KEY = "default"
_SLOW_READER = "SLOW_READER"


@router.websocket("/ws/{workflow_name}/{app_id}/{chat_id}/{user_id}")
async def platform_socket(socket: WebSocket, workflow_name: str, app_id: str, chat_id: str, user_id: str) -> None:
    """One client of a user, in a workflow session or in general mode. Several clients may use one session."""
    services = services_of(socket)
    access = socket.state.access
    if not access.sees(app_id) or not access.right.includes(Right.WRITE):
        await _refuse(socket, 1008, "Access denied")
        return
    try:
        session = await services.reading.run(lambda: _session_of(services, app_id, workflow_name, chat_id, user_id))
    except ChatstoreError as error:
        _LOG.warning("A socket was refused: %s", error.as_text())
        await _refuse(socket, _TRY_AGAIN_LATER, "The database does not answer.")
        return
    if session is None:
        await _refuse(socket, 1008, "Chat not found")
        return
    slow = wire.error_frame("The client reads too slowly, so frames are missing. Connect again.", _SLOW_READER)
    async with accepted(socket, services.connections, slow) as frames:
        key = socket.query_params.get("session_key") or _DEFAULT_KEY
        await _PlatformSocket(services, frames, session, workflow_name, app_id, user_id, key, socket.state.access).run()


async def _refuse(socket: WebSocket, code: int, reason: str) -> None:
    await socket.accept()
    await socket.close(code, reason)


def _session_of(services: Services, tenant: str, workflow: str, chat_id: str, user: str) -> Session | None:
    """The session that was asked for, if it exists and is this user's; otherwise the one that this user used last."""
    session = services.platform.find(tenant, workflow, chat_id)
    if session is None:
        return services.platform.newest_running(tenant, user, workflow)
    return session if session.user_id in (None, user) else None


class _PlatformSocket:
    """One socket from its acceptance to its end."""

    def __init__(
        self,
        services: Services,
        frames: Frames,
        session: Session,
        workflow: str,
        tenant: str,
        user: str,
        key: str,
        access: Access,
    ) -> None:
        self._services, self._frames, self._session, self._workflow = services, frames, session, workflow
        self._tenant, self._user, self._key = tenant, user, key
        self._id = str(uuid.uuid4())
        self._chat = TranscriptSource(WORKFLOW_LAYOUT, session.session_id)
        self._replay = PlatformReplay(services, frames, tenant, user, self._chat, access)
        self._work = PlatformWork(services, frames, self._replay, self._id, tenant, user)

    async def run(self) -> None:
        """Register the client, replay what is stored, then serve its frames until it disconnects."""
        try:
            await self._register()
            await self._send_meta()
            await self._work.follow_general_chat()
            await self._replay.connect(self._chat)
        except ChatstoreError as error:
            self._fail(error, "RESUME_FAILED")
            return
        background = [asyncio.create_task(self._follow()), asyncio.create_task(self._ping())]
        try:
            async for frame in self._frames.receive():
                await self._answer(frame)
        finally:
            for task in background:
                task.cancel()
            self._services.registry.remove_session(self._id)

    async def _register(self) -> None:
        """Attach the connection. A session that is new in the client session becomes the active one.

        If the application refuses that workflow, the client may still read it, and use its other workflows.
        """

        def attach() -> None:
            registry, chat_id = self._services.registry, self._session.session_id
            registry.attach(self._id, self._tenant, self._user, self._key)
            if registry.get_workflow_by_chat_id(self._id, chat_id) is None:
                registry.add_workflow(self._id, chat_id, self._workflow, self._tenant, self._user)

        try:
            await self._services.reading.run(attach)
        except PrerequisiteRefused as error:
            self._work.blocked(self._workflow, error)

    async def _send_meta(self) -> None:
        chat_id = self._session.session_id
        facts = await self._services.reading.run(
            lambda: self._services.platform.facts(self._tenant, self._workflow, chat_id)
        )
        session = self._session if facts is None else facts.session
        data: dict[str, Any] = {
            "kind": "chat_meta",
            "chat_id": chat_id,
            "workflow_name": session.workflow or self._workflow,
            "app_id": self._tenant,
            "user_id": self._user,
            "has_children": False,
            "cache_seed": cache_seed(self._tenant, chat_id),
            "chat_exists": facts is not None,
            "last_artifact": None if facts is None else artifact_body(facts.artifacts.last),
            "status": status_number(session.status),
            "last_sequence": 0 if facts is None else facts.last_sequence,
            "created_at": instant(session.created_at),
        }
        self._frames.send(wire.envelope("chat_meta", data))

    async def _follow(self) -> None:
        """Send turns that anybody stores in the socket's sessions, as they are reported."""
        live = self._services.live
        with live.subscribe(
            lambda change: self._replay.follows(change.session.layout, change.session.session_id),
            lambda session: self._replay.follows(*session),
        ) as subscription:
            while True:
                try:
                    await self._replay.catch_up()  # also before the first change, which may have come before
                except ChatstoreError as error:
                    _LOG.warning("Live turns of a socket: %s", error.as_text())
                await subscription.next(_POLL_SECONDS)
                subscription.forget_waiting()  # one replay covers them all

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(_PING_SECONDS)
            self._frames.send({"type": "ping", "timestamp": datetime.now(UTC).isoformat()})

    async def _answer(self, frame: dict[str, Any] | InvalidFrame) -> None:
        if isinstance(frame, InvalidFrame):
            self._frames.send(wire.error_frame(f"The frame is {frame}.", wire.SCHEMA_VALIDATION_FAILED))
            return
        try:
            read = wire.read_frame(frame)
        except wire.BadFrame as error:
            self._frames.send(wire.error_frame(str(error), wire.SCHEMA_VALIDATION_FAILED))
            return
        try:
            if isinstance(read, wire.ClientResume):
                await self._resume(read)
            else:
                await self._work.do(str(frame["type"]), read)
        except ChatstoreError as error:
            self._fail(error, wire.ERROR_CODES[str(frame["type"])])
        except Exception:  # noqa: BLE001 - one frame that fails unexpectedly must not end the socket
            _LOG.exception("A socket's frame failed unexpectedly.")
            self._frames.send(wire.error_frame(unexpected().message, wire.ERROR_CODES[str(frame["type"])]))

    async def _resume(self, read: wire.ClientResume) -> None:
        layout = WORKFLOW_LAYOUT if self._replay.follows(WORKFLOW_LAYOUT, read.chat_id) else GENERAL_LAYOUT
        source = TranscriptSource(layout, read.chat_id)
        await self._replay.resume(source, ClientPosition(read.lastSequence, read.lastClientIndex))

    def _fail(self, error: ChatstoreError, code: str) -> None:
        _LOG.info("A socket's frame failed: %s", error.as_text())
        self._frames.send(wire.error_frame(refusal_of(error).message, code))
