"""Limits on what callers can ask for: requests a minute, bytes of a body, open sockets."""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import Message, Receive

from chatstore_cli.core.lru import LruMap
from chatstore_cli.server.error_bodies import Refusal

_MOST_CALLERS = 10_000


class RequestRate:
    """At most `per_minute` requests of one caller, spread evenly after a burst of that many; 0 is no limit.

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


def bounded_body(receive: Receive, headers: Headers, most: int) -> Receive:
    """The same stream of a request's body, which raises Refusal when it has more than `most` bytes."""
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > most:
        raise _too_large(most)
    seen = 0

    async def receive_bounded() -> Message:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > most:
                raise _too_large(most)
        return message

    return receive_bounded


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
