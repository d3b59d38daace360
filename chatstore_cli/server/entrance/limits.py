"""Limits on what callers can ask for: requests a minute, bytes of a body, open sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Send

from chatstore_cli.core.lru import LruMap
from chatstore_cli.server.errors.error_bodies import Refusal

_MOST_CALLERS = 10_000
_BODY_SECONDS = 30.0
_SEND_SECONDS = 60.0


class RequestRate:
    """At most `per_minute` requests of one caller, spread evenly after a burst of that many; 0 disables the limit.

    Each caller has an allowance that grows with time. The limit is that of one process.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute, self._clock = per_minute, clock
        self._allowances: LruMap[str, tuple[float, float]] = LruMap(_MOST_CALLERS)

    def check(self, caller: str) -> None:
        """Count a request of this caller. Raises Refusal beyond the limit."""
        if not self._per_minute:
            return
        now = self._clock()
        left, counted_at = self._allowances.get(caller) or (float(self._per_minute), now)
        left = min(float(self._per_minute), left + (now - counted_at) * self._per_minute / 60)
        if left < 1:
            self._allowances.put(caller, (left, now))
            wait = {"Retry-After": str(max(1, round((1 - left) * 60 / self._per_minute)))}
            message = "Too many requests, please try again later."
            raise Refusal(HTTPStatus.TOO_MANY_REQUESTS, message, kind="rate", headers=wait)
        self._allowances.put(caller, (left - 1, now))


def bounded_body(receive: Receive, headers: Headers, most: int, seconds: float = _BODY_SECONDS) -> Receive:
    """The same stream of a request's body, which raises Refusal for more than `most` bytes, and after `seconds`."""
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > most:
        raise _too_large(most)
    seen, is_complete = 0, False
    ends_at = asyncio.get_running_loop().time() + seconds

    async def receive_bounded() -> Message:
        nonlocal seen, is_complete
        if is_complete:  # what follows is the end of the connection
            return await receive()
        try:
            async with asyncio.timeout_at(ends_at):
                message = await receive()
        except TimeoutError as error:
            raise Refusal(HTTPStatus.REQUEST_TIMEOUT, f"The body took more than {seconds:g} seconds.") from error
        is_complete = message["type"] != "http.request" or not message.get("more_body", False)
        seen += len(message.get("body", b""))
        if seen > most:
            raise _too_large(most)
        return message

    return receive_bounded


def bounded_send(send: Send, seconds: float = _SEND_SECONDS) -> Send:
    """The same way to the client, which raises TimeoutError if the client does not read what was sent before."""

    async def send_bounded(message: Message) -> None:
        async with asyncio.timeout(seconds):
            await send(message)

    return send_bounded


class OpenSockets:
    """Counts the open sockets of this process, of which there are at most `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.open = 0

    def add(self) -> None:
        """Count one more. Raises Refusal beyond the limit."""
        if self.open >= self._most:
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "Too many sockets are open.", kind="sockets")
        self.open += 1

    def remove(self) -> None:
        """Count one less."""
        self.open -= 1


def _too_large(most: int) -> Refusal:
    return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body has more than {most:,} bytes.", kind="body")
