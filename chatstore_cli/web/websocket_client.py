"""One WebSocket connection to an untrusted server, bounded in time and in the size of frames."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import connect

from chatstore_cli.domain.checked_application import Response
from chatstore_cli.domain.errors import ChatstoreError, Overdue
from chatstore_cli.web.address import Address
from chatstore_cli.web.http_client import LOG_HINT, first_line, unreachable, without_query
from chatstore_cli.web.time_limit import run_within

LONGEST_FRAME = 1024 * 1024
"""Bytes."""
_CLOSING_SECONDS = 1.0
_SILENT = logging.Logger("silent")
"""Without it the library's logger would write tracebacks to stderr. Errors are reported by exceptions."""
_SILENT.disabled = True


class OpenConnection:
    """A WebSocketConnection."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def send(self, text: str, seconds: float) -> None:
        try:
            run_within(seconds, "sending a message", lambda: self._connection.send(text))
        except ConnectionClosed as error:
            raise _closed(error) from error
        except OSError as error:
            raise _broken(error) from error

    def receive(self, seconds: float) -> str | bytes | None:
        try:
            frame: str | bytes = self._connection.recv(timeout=max(seconds, 0.001))
        except TimeoutError:
            return None
        except ConnectionClosed as error:
            raise _closed(error) from error
        except UnicodeError as error:
            raise ChatstoreError(what="a text frame is not UTF-8", hint="Text frames must be UTF-8.") from error
        except (WebSocketException, OSError) as error:
            raise _broken(error) from error
        return frame


@contextmanager
def open_connection(
    address: Address, context: ssl.SSLContext | None, path: str, seconds: float
) -> Iterator[OpenConnection | Response]:
    """A connection that is closed at the end, or the response of a server that does not open one.

    Redirects are not followed.
    """
    activity = f"WebSocket {address.base_path}{without_query(path)}"
    opened = _open(address, context, path, seconds, activity)
    if isinstance(opened, Response):
        yield opened
        return
    try:
        yield OpenConnection(opened)
    finally:
        with suppress(WebSocketException, OSError, Overdue):
            run_within(2 * _CLOSING_SECONDS, "closing", opened.close)


def _open(address: Address, context: ssl.SSLContext | None, path: str, seconds: float, activity: str) -> Any:
    sockets: list[socket.socket] = []

    def connect_socket() -> Any:
        # With a given socket the library follows no redirect, to which it would send every header, and uses no proxy.
        sockets.append(socket.create_connection((address.host, address.port), timeout=seconds))
        return connect(
            address.url(path, websocket=True),
            sock=sockets[0],
            ssl=context,
            additional_headers=list(address.headers),
            compression=None,  # a compressed frame could be decompressed to any size
            open_timeout=seconds,
            close_timeout=_CLOSING_SECONDS,
            max_size=LONGEST_FRAME,
        ).__enter__()

    def give_up() -> None:
        for opened in sockets:
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)

    try:
        return run_within(seconds, activity, connect_socket, give_up)
    except TimeoutError as error:
        what = f"{activity}: no response within {seconds:g} seconds"
        raise Overdue(what=what, hint="Increase --deadline.") from error
    except OSError as error:
        raise unreachable(activity, first_line(error)) from error
    except (WebSocketException, ValueError) as error:
        # The library raises errors of several kinds if it cannot follow a redirect. Their texts quote the target with its
        # credentials, so the response is taken from the error.
        for cause in (error, error.__cause__, error.__context__):
            if isinstance(cause, InvalidStatus):
                return Response(cause.response.status_code, bytes(cause.response.body or b""))
        what = f"{activity}: the connection could not be opened: {first_line(error)}"
        raise ChatstoreError(what=what, hint=LOG_HINT) from error


def _closed(error: ConnectionClosed) -> ChatstoreError:
    if error.sent is not None and (error.rcvd is None or not error.rcvd_then_sent):
        if error.sent.code == 1009:
            return ChatstoreError(
                what=f"a frame is over {LONGEST_FRAME >> 10:,} KiB", hint="The application must send smaller frames."
            )
        if error.sent.code in (1002, 1007):
            what = f"the server broke the WebSocket protocol: {error.sent.reason or error.sent.code}"
            return ChatstoreError(what=what[:300], hint=LOG_HINT)
    if error.rcvd is None:
        return ChatstoreError(what="the connection was lost", hint=LOG_HINT)
    reason = f" ({error.rcvd.reason[:200]})" if error.rcvd.reason else ""
    what = f"the server closed the connection with code {error.rcvd.code}{reason}"
    return ChatstoreError(what=what, hint=LOG_HINT)


def _broken(error: Exception) -> ChatstoreError:
    return ChatstoreError(what=f"the connection was lost: {first_line(error)}", hint=LOG_HINT)
