"""The socket of the chat application: `/ws/chat?session_id=`."""

from __future__ import annotations

import asyncio
import logging
import uuid
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, WebSocket

from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.responding import Event
from chatstore_cli.server.errors.error_bodies import refusal_of, unexpected
from chatstore_cli.server.requests import FLAT_MESSAGES, services_of
from chatstore_cli.server.routes.chat import read_history
from chatstore_cli.server.services import Services
from chatstore_cli.server.sockets.frames import Frames, InvalidFrame, accepted
from chatstore_cli.server.turns.chat_turns import CLEARED, ChatTurns, local_time

router = APIRouter()

_LOG = logging.getLogger("chatstore.server")

_HELP = "Send a message to get an answer. Commands: stop cancels the answer, clear starts a new context, help shows this text."
_BUSY = "The previous message is still being answered. Wait for it, or send the command stop."
_COMMANDS = {"/stop": "stop", "stop": "stop", "/clear": "clear", "clear": "clear", "/help": "help", "help": "help"}


@router.websocket("/ws/chat")
async def chat_socket(socket: WebSocket) -> None:
    """Exchange messages in one session. A client may open several sockets; a socket answers one message at a time."""
    services = services_of(socket)
    session_id = socket.query_params.get("session_id") or str(uuid.uuid4())
    if socket.state.access.tenants is not None:
        await socket.accept()
        await socket.close(1008, FLAT_MESSAGES)
        return
    slow = {"type": "error", "message": "Error: the client reads too slowly.", "status": "error"}
    async with accepted(socket, services.connections, {**slow, "session_id": session_id}) as frames:
        await _Conversation(services, session_id, frames).run()


class _Conversation:
    """One socket: its session, and the answer in progress."""

    def __init__(self, services: Services, session_id: str, frames: Frames) -> None:
        self._services, self._session_id, self._frames = services, session_id, frames
        self._turns = ChatTurns(services, session_id, {"transport": "websocket"})
        self._interactions = 0
        self._running: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Welcome the client, then answer its frames until it disconnects. An answer in progress is cancelled then."""
        await self._welcome()
        try:
            async for frame in self._frames.receive():
                if isinstance(frame, InvalidFrame):
                    self._reject(f"The frame is {frame}.")
                else:
                    await self._answer(frame)
        finally:
            await self._stop()

    async def _welcome(self) -> None:
        earlier: list[Any] = []
        with suppress(ChatstoreError):  # an id that no session can have is new
            earlier = (await read_history(self._services, self._session_id, 1)).messages
        self._interactions = self._turns.answered()
        self._send(
            type="system",
            message="Connected to chatstore",
            session_id=self._session_id,
            session_status="resumed" if earlier else "new",
            interactions=self._interactions,
        )

    async def _answer(self, frame: dict[str, Any]) -> None:
        command, text = frame.get("command"), frame.get("message")
        if command is None and isinstance(text, str):
            command = _COMMANDS.get(text.strip().lower())
        if command == "stop":
            await self._cancel()
        elif command == "help":
            self._send(type="system", message=_HELP, session_id=self._session_id)
        elif command is not None and command != "clear":
            self._reject('Unknown command. Commands: "stop", "clear", "help".')
        elif self._is_running:
            self._reject(_BUSY)
        elif command == "clear":
            await self._clear()
        elif not isinstance(text, str):
            self._reject('A frame needs "message" with a text, or "command".')
        elif not text.strip():
            self._reject("The message is empty.")
        else:
            self._running = asyncio.create_task(self._turn(text.strip()))

    @property
    def _is_running(self) -> bool:
        return self._running is not None and not self._running.done()

    async def _turn(self, text: str) -> None:
        self._send(type="status", status="processing", message="Processing your request...")
        try:
            answer = await self._turns.answer(text, self._pass_on)
        except ChatstoreError as error:
            self._error(error)
        except Exception:  # noqa: BLE001 - the client must learn of it, and the socket goes on
            _LOG.exception("A message could not be answered.")
            self._reject(unexpected().message)
        else:
            self._interactions += 1
            self._send(
                type="response",
                message=answer.text,
                status="completed",
                session_id=self._session_id,
                interaction_count=self._interactions,
            )
        self._send(type="status", status="complete", message="")

    def _pass_on(self, event: Event) -> None:
        """Send an event of the application, such as `plan`, as a frame with its fields."""
        self._send(**{**event.data, "type": event.type})

    async def _cancel(self) -> None:
        if not self._is_running:
            self._send(type="status", status="idle", message="No active task to stop.")
            return
        self._send(type="status", status="cancelling", message="Stopping the current task...")
        await self._stop()
        self._send(type="status", status="cancelled", message="The task was stopped.")

    async def _stop(self) -> None:
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self._running

    async def _clear(self) -> None:
        try:
            await self._turns.clear("/clear")
        except ChatstoreError as error:
            self._error(error)
            return
        self._interactions = 0
        self._send(type="clear", message=CLEARED, session_id=self._session_id, session_status="cleared")

    def _error(self, error: ChatstoreError) -> None:
        _LOG.info("A frame of a chat socket failed: %s", error.as_text())
        self._reject(refusal_of(error).message)

    def _reject(self, text: str) -> None:
        self._send(type="error", message=f"Error: {text}", status="error", session_id=self._session_id)

    def _send(self, **frame: Any) -> None:
        self._frames.send({**frame, "timestamp": local_time()})
