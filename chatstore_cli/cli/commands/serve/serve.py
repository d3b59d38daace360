"""`chatstore serve`: the HTTP and WebSocket server; and its keys."""

from __future__ import annotations

import logging
import os
import sys
import webbrowser
from typing import Annotated

import typer

from chatstore_cli.cli.command_declarations import command_with_subcommands
from chatstore_cli.cli.extras import require_server_extra
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.option_conflicts import reject_parent_options
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.render.rows.server import server_record

app, register = command_with_subcommands(
    "serve",
    {"keys": "serve.keys"},
    examples=[
        "chatstore serve",
        "chatstore serve --port 9000",
        "chatstore serve --demo",
        "chatstore serve keys create --name support",
    ],
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
    demo: Annotated[
        bool, typer.Option("--demo", help="Serve the demo's sample sessions, and open the page in the browser.")
    ] = False,
) -> None:
    """Serve chat applications over HTTP and WebSocket.

    The server records messages in the journals of mongo.cache.disk_path. Its worker stores them in MongoDB, together
    with messages that earlier processes left in the journals. If MongoDB is unreachable, the server still starts and
    records messages. On TERM or INT the server accepts no more requests, closes its sockets, stores pending messages, and
    exits with status 0 within 10 seconds. Messages that are not stored by then remain in the journals. A second signal
    ends the server at once, with status 130.

    By default only this machine can reach the server, and no key is required. Another address is rejected until a key
    exists. A browser shows sessions, search, usage and storage at the server's URL. The log on stderr lists requests, without their texts, and what the worker stored; --quiet reduces it to
    warnings, --verbose adds each recorded message. With -o json one object on stdout has the URL once requests are
    accepted. The server is one process. docs/server.md describes the interfaces and the settings. The command needs the
    extra `server` of this package.
    """
    if context.invoked_subcommand is not None:
        reject_parent_options(context)
        return
    invocation = Invocation(context, layout=None)
    invocation.reject_read_only()
    require_server_extra()
    if demo:
        from chatstore_cli.cli.demo_samples import use_demo

        use_demo(invocation)
        invocation = Invocation(context, layout=None)
    _log_to_stderr(invocation)
    from chatstore_cli.server.run import serve as run_server

    def started(url: str, needs_keys: bool) -> None:
        _announce(invocation, url, needs_keys, is_demo=demo)
        if demo:
            _open_browser(url)

    run_server(invocation.settings, host, port, started=started)


def _log_to_stderr(invocation: Invocation) -> None:
    from chatstore_cli.server.entrance.masked_log import MaskingFormatter, secrets_of

    options = invocation.options
    level = logging.WARNING if options.quiet else logging.DEBUG if options.verbose else logging.INFO
    handler = logging.StreamHandler()
    handler.setFormatter(MaskingFormatter("%(asctime)s %(levelname)s %(message)s", secrets_of(invocation.settings)))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])  # of other packages: the driver's details have texts
    logging.getLogger("chatstore").setLevel(level)


def _announce(invocation: Invocation, url: str, needs_keys: bool, is_demo: bool) -> None:
    settings = invocation.settings
    target = invocation.target if settings.mongo.enabled else None
    journals, responder = str(settings.mongo.cache.disk_path), settings.chatstore.server.responder
    if not is_demo:  # it has named its target before it wrote the samples
        invocation.say(f"Target: {target}" if target else "MongoDB is disabled: messages remain in the journals.")
    invocation.say(f"Journals: {journals}. Responder: {responder}. Keys: {'required' if needs_keys else 'none'}.")
    invocation.say(f"Serving on {url}. TERM or INT stops it.")
    if not invocation.options.prints_table:
        record = server_record(
            url=url,
            process=os.getpid(),
            target=target,
            journals=journals,
            responder=responder,
            needs_keys=needs_keys,
        )
        invocation.emit(record)


def _open_browser(url: str) -> None:
    """Open the page on a desktop. Elsewhere a browser would be one in the terminal, which the server's log uses."""
    if sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(url)
