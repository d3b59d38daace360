"""The socket of the multi-agent platform: `/ws/{workflow}/{app}/{chat}/{user}`."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, WebSocket

from chatstore_cli.core.session_registry.registry import SessionRegistry
from chatstore_cli.core.workflow.client_chats import cache_seed
from chatstore_cli.domain.api_keys import Right
from chatstore_cli.domain.errors import ChatstoreError, Conflict, NotFound, PrerequisiteRefused
from chatstore_cli.domain.mixed_transcript import ClientPosition
from chatstore_cli.domain.session import Session
from chatstore_cli.server.errors.error_bodies import refusal_of, unexpected
from chatstore_cli.server.live import LiveFrame
from chatstore_cli.server.requests import services_of
from chatstore_cli.server.routes.platform import artifact_body, instant, status_number
from chatstore_cli.server.services import Services
from chatstore_cli.server.sockets import platform_frames as wire
from chatstore_cli.server.sockets.frames import InvalidFrame, accepted
from chatstore_cli.server.sockets.platform_client import PlatformClient
from chatstore_cli.server.sockets.platform_replay import PlatformReplay
from chatstore_cli.server.sockets.platform_work import PlatformWork
from chatstore_cli.server.turns.platform_turns import workflow_session

router = APIRouter()

_LOG = logging.getLogger("chatstore.server")
_PING_SECONDS = 120.0
_POLL_SECONDS = 60.0
"""How often a socket reads without a reported change, for example after the thread that follows changes has failed."""
_RETRY_SECONDS = 2.0
"""Seconds after which turns that could not be read are looked for again: no change may come that would report them."""
_TRY_AGAIN_LATER = 1013
_DEFAULT_KEY = "default"
_SLOW_READER = "SLOW_READER"


@router.websocket("/ws/{workflow_name}/{app_id}/{chat_id}/{user_id:path}")
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
        chat = workflow_session(session.session_id)
        replay = PlatformReplay(services, frames, app_id, user_id, chat, access)
        client = PlatformClient(services, frames, replay, str(uuid.uuid4()), app_id, user_id)
        key = socket.query_params.get("session_key") or _DEFAULT_KEY
        await _PlatformSocket(client, session, workflow_name, key).run()


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

    def __init__(self, client: PlatformClient, session: Session, workflow: str, key: str) -> None:
        self._client, self._session, self._workflow, self._key = client, session, workflow, key
        self._services, self._frames, self._replay = client.services, client.frames, client.replay
        self._work = PlatformWork(client)

    async def run(self) -> None:
        """Register the client, replay what is stored, then serve its frames until it disconnects."""
        try:
            if await self._is_replayed():
                await self._serve()
        finally:
            self._services.registry.remove_session(self._client.connection)

    async def _is_replayed(self) -> bool:
        """Send everything that is stored. If the database does not answer, report it: the client has to connect again."""
        try:
            await self._register()
            await self._send_meta()
            await self._client.newest_general_chat()
            await self._replay.connect(workflow_session(self._session.session_id))
        except ChatstoreError as error:
            self._fail(error, wire.RESUME_FAILED)
            self._frames.close_code = _TRY_AGAIN_LATER
            return False
        return True

    async def _serve(self) -> None:
        background = [asyncio.create_task(self._follow()), asyncio.create_task(self._ping())]
        try:
            async for frame in self._frames.receive():
                await self._answer(frame)
        finally:
            for task in background:
                task.cancel()

    async def _register(self) -> None:
        """Attach the connection. A session that is new in the client session becomes the active one.

        If it cannot become one of them, the client may still read it, and use its other workflows.
        """
        client, chat_id = self._client, self._session.session_id

        def attach(registry: SessionRegistry) -> None:
            registry.attach(client.connection, client.tenant, client.user, self._key)
            if registry.get_workflow_by_chat_id(client.connection, chat_id) is None:
                registry.add_workflow(client.connection, chat_id, self._workflow, client.tenant, client.user)

        try:
            await client.in_registry(attach)
        except PrerequisiteRefused as error:
            client.blocked(self._workflow, error)
        except Conflict as error:
            self._fail(error, wire.ERROR_CODES["chat.switch_workflow"])

    async def _send_meta(self) -> None:
        client, chat_id = self._client, self._session.session_id
        facts = await self._services.reading.run(
            lambda: self._services.platform.facts(client.tenant, self._workflow, chat_id)
        )
        session = self._session if facts is None else facts.session
        data: dict[str, Any] = {
            "kind": "chat_meta",
            "chat_id": chat_id,
            "workflow_name": session.workflow or self._workflow,
            "app_id": client.tenant,
            "user_id": client.user,
            "has_children": False,
            "cache_seed": cache_seed(client.tenant, chat_id),
            "chat_exists": facts is not None,
            "last_artifact": None if facts is None else artifact_body(facts.artifacts.last),
            "status": status_number(session.status),
            "last_sequence": 0 if facts is None else facts.last_sequence,
            "created_at": instant(session.created_at),
        }
        client.send("chat_meta", data)

    async def _follow(self) -> None:
        """Send what anybody stores in the client's sessions, and frames about them, as they are reported."""
        live, replay = self._services.live, self._replay
        with live.subscribe(
            lambda change: replay.is_concerned(change.session), lambda session: replay.follows(*session)
        ) as subscription:
            while True:
                is_caught_up = await self._send_frames(subscription.take_frames())
                if subscription.missed_frames:
                    self._frames.overflowed = True
                await subscription.next(_POLL_SECONDS if is_caught_up else _RETRY_SECONDS)
                subscription.forget_waiting()  # one replay covers them all

    async def _send_frames(self, frames: Sequence[LiveFrame]) -> bool:
        """Send these frames and all turns that are stored by now, before the first frame that comes after turns.

        Returns whether the turns could be read.
        """
        is_caught_up: bool | None = None
        for frame, after_turns in frames:
            if after_turns and is_caught_up is None:
                is_caught_up = await self._catch_up()
            self._frames.send(frame)
        return await self._catch_up() if is_caught_up is None else is_caught_up

    async def _catch_up(self) -> bool:
        try:
            await self._replay.catch_up()
            return True
        except ChatstoreError as error:
            _LOG.warning("Live turns of a socket: %s", error.as_text())
        except Exception:  # noqa: BLE001 - one failure must not end the live turns of the socket
            _LOG.exception("Live turns of a socket.")
        return False

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
        kind = str(frame["type"])
        try:
            if isinstance(read, wire.ClientResume):
                await self._resume(read)
            else:
                await self._work.do(kind, read)
        except ChatstoreError as error:
            self._fail(error, wire.ERROR_CODES[kind])
        except Exception:  # noqa: BLE001 - one frame that fails unexpectedly must not end the socket
            _LOG.exception("A socket's frame failed unexpectedly.")
            self._frames.send(wire.error_frame(unexpected().message, wire.ERROR_CODES[kind]))

    async def _resume(self, read: wire.ClientResume) -> None:
        """Replay one of the client's sessions. From then on the client gets its turns."""
        source = await self._client.own_session(read.chat_id)
        if source is None:
            raise NotFound(kind_of_thing="session", name=read.chat_id, where=" of this user")
        await self._replay.resume(source, ClientPosition(read.lastSequence, read.lastClientIndex))

    def _fail(self, error: ChatstoreError, code: str) -> None:
        _LOG.info("A socket's frame failed: %s", error.as_text())
        self._frames.send(wire.error_frame(refusal_of(error).message, code))
