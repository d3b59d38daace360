"""One WebSocket connection to a server that may do anything: bounded in time and in what is read of it."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import connect

from chatstore_cli.domain.checked_application import Answer
from chatstore_cli.domain.errors import ChatstoreError, Overdue
from chatstore_cli.web.address import Address
from chatstore_cli.web.http_client import unreachable, without_query
from chatstore_cli.web.time_limit import within

LONGEST_FRAME = 1024 * 1024
"""Bytes."""
_CLOSING_SECONDS = 1.0
_SILENT = logging.Logger("silent")
"""Where nobody has set up logging, the library's own would write tracebacks to stderr; what went wrong is told by us."""
_SILENT.disabled = True


class WebSocketConversation:
    """An open connection."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def send(self, text: str, seconds: float) -> None:
        """Send a text frame."""
        try:
            within(seconds, "sending a message", lambda: self._connection.send(text))
        except ConnectionClosed as error:
            raise _closed(error) from error
        except OSError as error:
            raise _broken(error) from error

    def receive(self, seconds: float) -> str | bytes | None:
        """The next frame; None where none comes within the time."""
        try:
            frame: str | bytes = self._connection.recv(timeout=max(seconds, 0.001))
        except TimeoutError:
            return None
        except ConnectionClosed as error:
            raise _closed(error) from error
        except UnicodeError as error:
            raise ChatstoreError(what="a text frame is not UTF-8", hint="Text frames are UTF-8.") from error
        except (WebSocketException, OSError) as error:
            raise _broken(error) from error
        return frame


@contextmanager
def conversation(
    address: Address, context: ssl.SSLContext | None, path: str, seconds: float
) -> Iterator[WebSocketConversation | Answer]:
    """A connection, closed at the end; the answer of a server that does not open one. No redirect is followed."""
    doing = f"WebSocket {address.base_path}{without_query(path)}"
    opened = _open(address, context, path, seconds, doing)
    if isinstance(opened, Answer):
        yield opened
        return
    try:
        yield WebSocketConversation(opened)
    finally:
        with suppress(WebSocketException, OSError, Overdue):
            within(2 * _CLOSING_SECONDS, "closing", opened.close)


def _open(address: Address, context: ssl.SSLContext | None, path: str, seconds: float, doing: str) -> Any:
    sockets: list[socket.socket] = []

    def open_it() -> Any:
        # A socket of our own: the library then follows no redirect, to which it would pass on every header, and
        # uses no proxy of the environment.
        sockets.append(socket.create_connection((address.host, address.port), timeout=seconds))
        return connect(
            address.url(path, websocket=True),
            sock=sockets[0],
            ssl=context,
            additional_headers=list(address.headers),
            compression=None,  # packed frames could be unpacked to any size
            open_timeout=seconds,
            close_timeout=_CLOSING_SECONDS,
            max_size=LONGEST_FRAME,
        ).__enter__()

    def give_up() -> None:
        for opened in sockets:
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)

    try:
        return within(seconds, doing, open_it, give_up)
    except TimeoutError as error:
        what = f"{doing}: no answer within {seconds:g} seconds"
        raise Overdue(what=what, hint="Give it longer with --deadline.") from error
    except OSError as error:
        raise unreachable(doing, _reason(error)) from error
    except (WebSocketException, ValueError) as error:
        # A redirect the library would follow, and says by errors of several kinds why it cannot: with a socket of ours,
        # to what is no WebSocket. Each stands for the answer, and quotes where it leads, credentials and all.
        for cause in (error, error.__cause__, error.__context__):
            if isinstance(cause, InvalidStatus):
                return _answer(cause)
        what = f"{doing}: the connection is not opened as it should be: {_reason(error)}"
        raise ChatstoreError(what=what, hint="The application's own log says more.") from error


def _answer(error: InvalidStatus) -> Answer:
    return Answer(error.response.status_code, bytes(error.response.body or b""))


def _closed(error: ConnectionClosed) -> ChatstoreError:
    if error.sent is not None and (error.rcvd is None or not error.rcvd_then_sent):
        if error.sent.code == 1009:
            return ChatstoreError(what=f"a frame is over {LONGEST_FRAME >> 10:,} KiB", hint="Send less at once.")
        if error.sent.code in (1002, 1007):
            what = f"what came is not WebSocket as it should be: {error.sent.reason or error.sent.code}"
            return ChatstoreError(what=what[:300], hint="The application's own log says more.")
    if error.rcvd is None:
        return ChatstoreError(what="the connection broke off", hint="The application's own log says more.")
    reason = f" ({error.rcvd.reason[:200]})" if error.rcvd.reason else ""
    what = f"the server closed the connection with code {error.rcvd.code}{reason}"
    return ChatstoreError(what=what, hint="The application's own log says more.")


def _broken(error: Exception) -> ChatstoreError:
    return ChatstoreError(
        what=f"the connection broke off: {_reason(error)}", hint="The application's own log says more."
    )


def _reason(error: Exception) -> str:
    return (str(error).strip().partition("\n")[0] or type(error).__name__)[:300]
