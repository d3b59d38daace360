"""A server that sends the bytes of a test, or none: for behaviour that no web framework has."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

Handler = Callable[[socket.socket, bytes], None]


@contextlib.contextmanager
def raw_server(handle: Handler, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve on a free port. `handle` receives each connection with the head of its request."""
    connections: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if context is not None:
                connection = context.wrap_socket(connection, server_side=True)
                connections.append(connection)
            head = b""
            while b"\r\n\r\n" not in head and head[:1] != b"\x16" and (piece := connection.recv(65536)):
                head += piece
            handle(connection, head)
        connection.close()

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                connections.append(connection)
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listening.getsockname()[1]
        finally:
            for connection in [listening, *connections]:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


def response(body: bytes, head: str = "", status: str = "200 OK") -> bytes:
    """A complete HTTP response. `head` may contain more header lines, each with its line end."""
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{head}\r\n".encode() + body


def accept_websocket(connection: socket.socket, head: bytes) -> None:
    """Accept the requested WebSocket connection."""
    key = next(
        line.split(b":")[1].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")
    )
    accepted = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + f"Sec-WebSocket-Accept: {accepted}\r\n\r\n".encode()
    )


def frame(payload: bytes, opcode: int = 1) -> bytes:
    """A frame of the server. Opcode 1 is text, 2 binary, 8 closing."""
    length = len(payload)
    if length < 126:
        return bytes([0x80 | opcode, length]) + payload
    if length < 65536:
        return bytes([0x80 | opcode, 126]) + length.to_bytes(2, "big") + payload
    return bytes([0x80 | opcode, 127]) + length.to_bytes(8, "big") + payload
