"""Runs the server until TERM or INT."""

from __future__ import annotations

import ipaddress
import logging
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import uvicorn

from chatstore_cli.domain.errors import BadValue, Conflict, NotAllowed
from chatstore_cli.server.app import create_app
from chatstore_cli.server.connections import bounded, most_connections
from chatstore_cli.server.services import Services

if TYPE_CHECKING:
    from collections.abc import Callable

    from chatstore_cli.config.settings import Settings

FRAME_BYTES = 1_000_000
"""The largest frame that a client may send."""
_STOP_SECONDS = 10
_CLOSE_SECONDS = 2.0


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


def serve(settings: Settings, host: str | None, port: int | None, *, started: Callable[[str], None]) -> None:
    """Serve until TERM or INT. `started` is called with the address when requests are accepted.

    Raises NotAllowed for an address other than loopback without keys, Conflict if the port is in use, BadValue.
    """
    server = settings.chatstore.server
    host = server.host if host is None else host
    port = server.port if port is None else port
    settings = replace(settings, chatstore=replace(settings.chatstore, server=replace(server, host=host, port=port)))
    from chatstore_cli.server.responders.registry import responder_of

    services = Services(settings, responder_of(settings))
    listening = _listen(host, port)
    if not is_loopback(listening.getsockname()[0]) and not services.keys.are_required():
        listening.close()
        hint = "Create one: chatstore serve keys create --name NAME. Or serve on 127.0.0.1."
        raise NotAllowed(what=f"{host} can be reached from other machines, and the server has no keys.", hint=hint)
    config = uvicorn.Config(
        create_app(services),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_STOP_SECONDS,
        timeout_keep_alive=30,
        ws_max_size=FRAME_BYTES,
        ws_ping_interval=30.0,
        ws_ping_timeout=30.0,
        lifespan="on",
    )
    config.load()
    config.http_protocol_class = bounded(config.http_protocol_class, most_connections(server.sockets))
    # Its lines about sockets contain the whole query, with the key.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    try:
        _Server(config, services, started).run(sockets=[listening])
    except KeyboardInterrupt:  # uvicorn raises the signal again after it has stopped
        return


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach the address."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def address_of(listening: socket.socket) -> str:
    """The address as a URL."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise BadValue(name="--host", value=host, expected="an address or name of this machine") from error
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
    except PermissionError as error:
        listening.close()
        raise NotAllowed(
            what=f"Cannot listen on port {port}: permission denied.", hint="Use a port of 1024 or above."
        ) from error
    except OSError as error:
        listening.close()
        what = f"Cannot listen on {host}, port {port}: {error.strerror or error}."
        raise Conflict(what=what, hint="Choose another port with --port.") from error
    return listening
