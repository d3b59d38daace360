"""Clients that are slow: in sending headers, a body, or in reading an answer."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.datastructures import Headers

from chatstore_cli.server.entrance import connections
from chatstore_cli.server.entrance.connections import bounded, most_connections
from chatstore_cli.server.entrance.limits import bounded_body, bounded_send
from chatstore_cli.server.errors.error_bodies import Refusal

NO_HEADERS = Headers({})


def test_a_body_that_never_ends_is_refused_and_waiting_for_the_end_of_the_connection_is_not():
    async def never() -> Any:
        await asyncio.Event().wait()

    parts = iter([{"type": "http.request", "body": b"x", "more_body": True}])

    async def first_part() -> Any:
        return next(parts, None) or await never()

    async def run() -> None:
        receive = bounded_body(first_part, NO_HEADERS, 100, 0.01)
        await receive()
        with pytest.raises(Refusal) as caught:
            await receive()
        assert caught.value.status == 408

        async def whole() -> Any:
            return {"type": "http.request", "body": b"x"} if not seen else {"type": "http.disconnect"}

        seen: list[Any] = []
        receive = bounded_body(whole, NO_HEADERS, 100, 0.01)
        seen.append(await receive())
        await asyncio.sleep(0.02)
        assert (await receive())["type"] == "http.disconnect"

    asyncio.run(run())


def test_a_client_that_does_not_read_its_answer_is_given_up():
    async def run() -> None:
        async def blocked(message: Any) -> None:
            await asyncio.Event().wait()

        with pytest.raises(TimeoutError):
            await bounded_send(blocked, 0.01)({"type": "http.response.body"})

    asyncio.run(run())


class Protocol(asyncio.Protocol):
    """What `bounded` needs of uvicorn's protocols."""

    def __init__(self, loop: asyncio.AbstractEventLoop, known: set[Any]) -> None:
        self.loop, self.connections, self.cycle = loop, known, None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        pass

    def handle_websocket_upgrade(self, *arguments: Any) -> None:
        pass


class Transport:
    """A connection that notes how it ended."""

    def __init__(self) -> None:
        self.protocol: Any = None
        self.ended: str | None = None

    def get_protocol(self) -> Any:
        return self.protocol

    def is_closing(self) -> bool:
        return self.ended is not None

    def close(self) -> None:
        self.ended = "closed"

    def abort(self) -> None:
        self.ended = "aborted"


def test_a_connection_without_a_complete_request_is_closed(monkeypatch):
    monkeypatch.setattr(connections, "SECONDS_FOR_HEADERS", 0.01)

    async def run() -> None:
        loop, known = asyncio.get_running_loop(), set()
        made = bounded(Protocol, 5)

        def connected() -> tuple[Any, Transport]:
            transport = Transport()
            transport.protocol = protocol = made(loop, known)
            protocol.connection_made(transport)
            return protocol, transport

        (_, silent), (dripping, slow), (busy, answered), (upgraded, socket) = (connected() for _ in range(4))
        dripping.data_received(b"GET")
        busy.cycle = SimpleNamespace(response_complete=False)
        busy.data_received(b"GET / HTTP/1.1")
        upgraded.handle_websocket_upgrade()
        socket.protocol = None
        last, _ = connected()
        _, cut = connected()
        assert cut.ended == "aborted"
        last.connection_lost(None)
        while (silent.ended, slow.ended) != ("closed", "closed"):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert (answered.ended, socket.ended) == (None, None)
        busy.cycle.response_complete = True
        busy.data_received(b"GET")  # the next request of the connection has a limit too
        while answered.ended is None:
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(run(), 60))


def test_connections_are_fewer_than_the_files_of_the_process(monkeypatch):
    limits = [(256, 4_096)]
    monkeypatch.setattr(connections.resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(connections.resource, "setrlimit", lambda _, given: limits.append(given))
    assert most_connections(1_000) == 2_000
    assert limits[-1] == (2_500, 4_096)
    assert most_connections(10_000) == 3_596
    assert limits[-1] == (4_096, 4_096)
