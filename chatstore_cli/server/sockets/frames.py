"""Frames of a socket: reads JSON objects from untrusted clients, and writes through a bounded queue."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from chatstore_cli.server.entrance.open_sockets import OpenConnections

SLOW_READER = 1013
_MOST_WAITING = 1_000
_MOST_CHARACTERS = 8_000_000
"""Frames that wait for a client, and their size. From there on a replay waits, which leaves room for as much again.

The socket of a client that reads more slowly is closed, so that the client notices that frames are missing.
"""
_SECONDS_FOR_ROOM = 60.0


class InvalidFrame(ValueError):
    """A frame that is not a JSON object. Its text says what it is."""


class Frames:
    """The frames of one accepted socket. `send` never waits for the client."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._waiting: asyncio.Queue[str] = asyncio.Queue()
        self._characters = 0
        self._written = asyncio.Event()
        self.overflowed = False
        self.close_code = 1000
        """The code with which the socket is closed when it is served no longer."""

    def send(self, frame: Mapping[str, Any]) -> None:
        """Queue a frame. If the client reads too slowly, the socket is closed after an error frame."""
        self._queue(as_json(frame))

    async def put(self, frame: Mapping[str, Any]) -> None:
        """Queue a frame, and wait for room: for a replay, which may be long. If the client stops reading, its socket is closed."""
        try:
            async with asyncio.timeout(_SECONDS_FOR_ROOM):
                while self._has_reached(1) and not self.overflowed:
                    self._written.clear()
                    await self._written.wait()
        except TimeoutError:
            self.overflowed = True
        self._queue(as_json(frame))

    def _queue(self, text: str) -> None:
        if self._has_reached(2):
            self.overflowed = True
        if not self.overflowed:  # after a missing frame, only the error frame may follow
            self._waiting.put_nowait(text)
            self._characters += len(text)

    def _has_reached(self, times: int) -> bool:
        return self._waiting.qsize() >= times * _MOST_WAITING or self._characters >= times * _MOST_CHARACTERS

    async def receive(self) -> AsyncIterator[dict[str, Any] | InvalidFrame]:
        """The frames of the client until it disconnects; an InvalidFrame for each that is not a JSON object."""
        while True:
            try:
                message = await self._socket.receive()
            except (WebSocketDisconnect, RuntimeError):
                return
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            yield InvalidFrame("binary; JSON text is expected") if text is None else _object(text)

    async def drained(self) -> None:
        """Wait until every queued frame was given to the connection."""
        await self._waiting.join()

    async def write(self, slow_reader: Mapping[str, Any]) -> None:
        """Send queued frames until the task is cancelled or the client reads too slowly; then send `slow_reader` and close."""
        while True:
            if self.overflowed and self._waiting.empty():
                await self._send_now(as_json(slow_reader))
                with suppress(Exception):
                    await self._socket.close(SLOW_READER, "The client reads too slowly.")
                return
            text = await self._waiting.get()
            self._characters -= len(text)
            self._written.set()
            try:
                await self._send_now(text)
            finally:
                self._waiting.task_done()
            await asyncio.sleep(0)  # other sockets have their turn, also while this client takes everything at once

    async def _send_now(self, text: str) -> None:
        if self._socket.application_state is WebSocketState.CONNECTED:
            with suppress(WebSocketDisconnect, RuntimeError):  # the client is gone; reading ends too
                await self._socket.send_text(text)


@asynccontextmanager
async def accepted(
    socket: WebSocket, connections: OpenConnections, slow_reader: Mapping[str, Any]
) -> AsyncIterator[Frames]:
    """Accept a socket, and write its frames in the background until the block ends. Queued frames are written first."""
    await socket.accept()
    connections.add(socket)
    frames = Frames(socket)
    writer = asyncio.create_task(frames.write(slow_reader))
    try:
        yield frames
        drained = asyncio.create_task(frames.drained())
        await asyncio.wait({drained, writer}, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        drained.cancel()
    finally:
        writer.cancel()
        connections.remove(socket)
        with suppress(Exception):
            await socket.close(frames.close_code)


def as_json(frame: Mapping[str, Any]) -> str:
    """The frame as JSON that every client can parse: without NaN, and without lone surrogates."""
    try:
        text = json.dumps(frame, ensure_ascii=False, default=str, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(frame), ensure_ascii=False, default=str)
    return text.encode("utf-8", "replace").decode()


def _finite(value: Any) -> Any:
    """The value with null for numbers that JSON does not have."""
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _object(text: str) -> dict[str, Any] | InvalidFrame:
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return InvalidFrame("not valid JSON")
    if not isinstance(value, dict):
        return InvalidFrame("not a JSON object")
    return value
