"""Runs the server until TERM or INT."""

from __future__ import annotations

import errno
import gc
import ipaddress
import logging
import os
import signal
import socket
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import uvicorn

from chatstore_cli.domain.errors import BadValue, Conflict, ExitCode, NotAllowed
from chatstore_cli.server.app import create_app
from chatstore_cli.server.entrance.connections import bounded, most_connections
from chatstore_cli.server.services import Services
from chatstore_cli.wiring.recording import require_writable_folder

_LOG = logging.getLogger("chatstore.server")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from chatstore_cli.config.settings import Settings

FRAME_BYTES = 1_000_000
"""The largest frame that a client may send."""

# A stop takes at most 10 seconds: to close sockets, for running requests, for the worker (services.py), and some reserve.
_CLOSE_SECONDS = 1.5
_REQUEST_SECONDS = 4
_LONGEST_STOP_SECONDS = 9.5
_GARBAGE_THRESHOLDS = (700, 10, 10)
"""Python's own. Commands collect garbage hardly ever, and a process that does not end would keep that of every socket."""
_SECONDS_OF_IDLE_CONNECTIONS = 30
_SECONDS_BETWEEN_PINGS = 30.0
_WAITING_CONNECTIONS = 2_048
_MILLISECONDS_WITHOUT_PROGRESS = 90_000
"""How long a client may take none of what is sent, before the system ends its connection."""


class _Server(uvicorn.Server):
    """A server that closes its sockets with 1001 before it stops: uvicorn itself would close them with 1012."""

    def __init__(self, config: uvicorn.Config, services: Services, started: Callable[[str], None]) -> None:
        super().__init__(config)
        self._services, self._started = services, started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            self._started(address_of(sockets[0]))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:  # accept nothing new while the sockets close
            server.close()
        await self._services.connections.close_all(_CLOSE_SECONDS)
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at TERM or INT. A signal that was ignored stays ignored: a shell's background job is not meant by INT.

        uvicorn's own method raises the signal again at the end, so that the process would not exit with status 0.
        """
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        handled = [number for number, handler in handlers.items() if handler is not signal.SIG_IGN]
        for number in handled:
            signal.signal(number, self.handle_exit)
        try:
            yield
        finally:
            for number in handled:
                signal.signal(number, handlers[number])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop. A second signal ends the process at once, which loses nothing: the journals have everything."""
        if self.should_exit:
            os._exit(ExitCode.INTERRUPTED)
        self.should_exit = True
        _end_process_after(_LONGEST_STOP_SECONDS)


def _end_process_after(seconds: float) -> None:
    """End the process even if something blocks it, such as a function of the application or a disk."""

    def end() -> None:
        _LOG.error("The server did not stop within %g seconds. Recorded messages are in the journals.", seconds)
        os._exit(ExitCode.FAILED)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def serve(settings: Settings, host: str | None, port: int | None, *, started: Callable[[str, bool], None]) -> None:
    """Serve until TERM or INT. When requests are accepted, `started` is called with the URL and whether keys are required.

    Raises NotAllowed for an address other than loopback without keys, for keys that cannot be read, and for journals that
    cannot be written; Conflict if the port is in use; BadValue.
    """
    server = settings.chatstore.server
    host = server.host if host is None else host
    port = server.port if port is None else port
    settings = replace(settings, chatstore=replace(settings.chatstore, server=replace(server, host=host, port=port)))
    from chatstore_cli.server.turns.responders.registry import responder_of

    services = Services(settings, responder_of(settings))
    if services.cache.disk_path is not None:
        require_writable_folder(services.cache.disk_path)
    needs_key = services.keys.are_required()  # an unreadable file of keys is an error before anything runs
    listening = listen(host, port)
    if not is_loopback(listening.getsockname()[0]) and not needs_key:
        listening.close()
        hint = "Create one: chatstore serve keys create --name NAME. Or serve on 127.0.0.1."
        raise NotAllowed(what=f"{host} can be reached from other machines, and the server has no keys.", hint=hint)
    # Its lines about sockets contain the whole query, with the key.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
    _Server(configuration(services), services, lambda url: started(url, needs_key)).run(sockets=[listening])


def configuration(services: Services) -> uvicorn.Config:
    """How uvicorn serves the application."""
    config = uvicorn.Config(
        create_app(services),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_REQUEST_SECONDS,
        timeout_keep_alive=_SECONDS_OF_IDLE_CONNECTIONS,
        ws_max_size=FRAME_BYTES,
        ws_ping_interval=_SECONDS_BETWEEN_PINGS,
        ws_ping_timeout=_SECONDS_BETWEEN_PINGS,
        lifespan="on",
    )
    config.load()
    config.http_protocol_class = bounded(
        config.http_protocol_class, most_connections(services.settings.chatstore.server.sockets)
    )
    return config


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach the address."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def address_of(listening: socket.socket) -> str:
    """The address as a URL."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def listen(host: str, port: int) -> socket.socket:
    """A bound socket. A name with several addresses gets its IPv4 address, which clients try too if it has others."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise _bad_host(host) from error
    family, *_, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(
        socket, "TCP_USER_TIMEOUT"
    ):  # else a client that takes nothing, but does not disconnect, is served for long
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _MILLISECONDS_WITHOUT_PROGRESS)
    try:
        listening.bind(address)
        listening.listen(_WAITING_CONNECTIONS)  # two sockets can be bound to one port; only one of them can listen
    except PermissionError as error:
        listening.close()
        raise NotAllowed(
            what=f"Cannot listen on port {port}: permission denied.", hint="Use a port of 1024 or above."
        ) from error
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise _bad_host(host) from error
        what = f"Cannot listen on {host}, port {port}: {error.strerror or error}."
        raise Conflict(what=what, hint="Choose another port with --port.") from error
    return listening


def _bad_host(host: str) -> BadValue:
    return BadValue(name="--host", value=host, expected="an address or name of this machine")
