"""`chatstore serve`: the HTTP and WebSocket server; and its keys."""

from __future__ import annotations

import importlib.util
import logging
from typing import Annotated

import typer

from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.options import command_with_subcommands, reject_parent_options
from chatstore_cli.domain.errors import ExitCode, WrongUse

app, register = command_with_subcommands(
    "serve",
    {"keys": "serve.keys"},
    examples=["chatstore serve", "chatstore serve --port 9000", "chatstore serve keys create --name support"],
    exits=[ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)


@register
def serve(
    context: typer.Context,
    host: Annotated[
        str | None,
        typer.Option("--host", metavar="ADDRESS", help="Listen on this address [default: chatstore.server.host]."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", metavar="N", min=0, max=65535, help="Listen on this port [default: chatstore.server.port]."
        ),
    ] = None,
) -> None:
    """Serve the interfaces of chat applications over HTTP and WebSocket, until TERM or INT.

    The server records messages in the journals of mongo.cache.disk_path, and its worker stores them in MongoDB. If
    MongoDB is unreachable, the server still starts and records messages. On TERM or INT the server accepts no more
    requests, closes its sockets, stores pending messages, and exits with status 0 within 10 seconds. Messages that are
    not stored by then remain in the journals.

    By default only this machine can reach the server, and no key is required. Another address is rejected until a key
    exists. docs/server.md describes the interfaces and the settings. The command needs the extra `server` of this
    package.
    """
    if context.invoked_subcommand is not None:
        reject_parent_options(context)
        return
    invocation = Invocation(context, layout=None)
    invocation.reject_read_only()
    settings = invocation.settings
    require_server_extra()
    from chatstore_cli.server.masked_log import MaskingFormatter, secrets_of
    from chatstore_cli.server.run import serve as run_server

    level = logging.WARNING if invocation.options.quiet else logging.INFO
    handler = logging.StreamHandler()
    handler.setFormatter(MaskingFormatter("%(asctime)s %(levelname)s %(message)s", secrets_of(settings)))
    logging.basicConfig(level=level, handlers=[handler])
    if settings.mongo.enabled:
        invocation.say(f"Target: {invocation.target}")
    run_server(settings, host, port, started=lambda address: invocation.say(f"Serving on {address}"))


def require_server_extra() -> None:
    """Raise WrongUse if a package of the extra `server` is missing."""
    missing = [
        name
        for name in ("fastapi", "uvicorn", "websockets", "prometheus_client", "httpx2")
        if not importlib.util.find_spec(name)
    ]
    if missing:
        what = f"The server needs packages that are not installed: {', '.join(missing)}."
        raise WrongUse(what=what, hint="Install the extra: pip install 'chatstore-cli[server]'")
