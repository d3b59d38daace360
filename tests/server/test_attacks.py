"""Attacks on the real process, over plain connections: bodies, slow clients, frames, many connections, smuggled headers."""

from __future__ import annotations

import json
import re
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.support.mongod import poll

SOCKETS = 20


@dataclass
class Process:
    """A running `chatstore serve` whose database is disabled."""

    port: int
    log: Path
    key: str

    def connection(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=300)

    def answer(self, sent: bytes) -> bytes:
        """What the server answers to these bytes, until it closes the connection."""
        with self.connection() as connection:
            with suppress(OSError):  # it may have answered and closed the connection already
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
            return all_of(connection)

    def request(self, head: str, body: bytes = b"", path: str = "/api/chat", method: str = "POST") -> bytes:
        lines = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nx-api-key: {self.key}\r\nConnection: close\r\n{head}"
        return self.answer(lines.encode() + b"\r\n" + body)

    def is_alive(self) -> bool:
        return self.request("", path="/healthz", method="GET").startswith(b"HTTP/1.1 200")


def all_of(connection: socket.socket) -> bytes:
    parts = []
    try:
        while part := connection.recv(65_536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


@pytest.fixture(scope="module")
def process(tmp_path_factory, module_chatstore) -> Iterator[Process]:
    env = {
        "CHATSTORE_MONGO__ENABLED": "false",
        "CHATSTORE_SERVER__SOCKETS": str(SOCKETS),
        "CHATSTORE_SERVER__REQUESTS_PER_MINUTE": "0",
    }
    created = module_chatstore("serve", "keys", "create", "--name", "x", "--right", "write", "-o", "json", env=env)
    key = json.loads(created.out)["key"]
    log = tmp_path_factory.mktemp("serve") / "log"
    with log.open("wb") as errors:
        running = module_chatstore.popen("serve", "--port", "0", env=env, stderr=errors)
        try:
            poll(lambda: b"Serving on" in log.read_bytes())
            port = int(re.search(rb"Serving on http://127.0.0.1:(\d+)", log.read_bytes())[1])
            yield Process(port, log, key)
        finally:
            running.terminate()
            assert running.wait(120) == 0


def client_of(url: str, **options: Any) -> ClientConnection:
    """A client. It waits long for the server, because a busy machine is not a defect."""
    return connect(url, open_timeout=120, **options)


JSON = "Content-Type: application/json\r\n"


def test_a_body_of_100_mb_is_rejected_before_it_is_read(process):
    answer = process.request(f"{JSON}Content-Length: 100000000\r\n", b"x" * 100_000)
    assert answer.startswith(b"HTTP/1.1 413")
    assert answer.endswith(b'{"detail": "The body has more than 1,048,576 bytes."}')


def test_a_body_without_a_length_ends_at_the_limit(process):
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    with process.connection() as connection:
        head = f"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nx-api-key: {process.key}\r\n{JSON}"
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        sent = 0
        while not select.select([connection], [], [], 0)[0]:
            connection.sendall(chunk)
            sent += len(chunk)
            assert sent < 100_000_000  # the server has answered long before
        assert connection.recv(65_536).startswith(b"HTTP/1.1 413")
    assert process.is_alive()


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (f"{JSON}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\nGET /store/status HTTP/1.1\r\n\r\n"),
        (f"{JSON}Content-Length: 5\r\nContent-Length: 50\r\n", b"hello"),
        (f"{JSON}Transfer-Encoding: identity, chunked\r\n", b"0\r\n\r\n"),
        (f"{JSON}Content-Length: -1\r\n", b""),
        ("X: a\r\n folded\r\nBad Header: x\r\n", b""),
        ("X: " + "x" * 200_000 + "\r\n", b""),
        ("Host: evil.example\r\n", b""),
    ],
)
def test_a_smuggled_request_is_not_answered(process, head, body):
    answer = process.request(head, body)
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert not answer.startswith(b"HTTP/1.1 2")
    assert process.is_alive()


@pytest.mark.parametrize("target", ["http://evil.example/store/status", "//store/status", "/%2e%2e/store/status", "*"])
def test_no_way_of_writing_a_path_passes_the_gate(process, target):
    for host, expected in (("localhost", b"HTTP/1.1 4"), ("evil.example", b"HTTP/1.1 400")):
        answer = process.answer(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert answer.startswith(expected)
    assert process.answer(b"GET /health HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 400")  # no Host


def test_a_frame_of_more_than_1_mb_closes_its_socket_only(process):
    url, headers = f"ws://127.0.0.1:{process.port}/ws/chat", {"x-api-key": process.key}
    with client_of(url, additional_headers=headers) as other, client_of(url, additional_headers=headers) as large:
        other.recv(), large.recv()
        large.send(json.dumps({"message": "x" * 999_000}))
        assert json.loads(large.recv())["type"] == "status"
        with pytest.raises(ConnectionClosed) as caught:
            large.send("x" * 1_000_001)
            while True:
                large.recv()
        assert caught.value.rcvd.code == 1009
        other.send(json.dumps({"command": "help"}))
        assert json.loads(other.recv())["type"] == "system"


def test_a_key_in_the_query_of_a_socket_is_in_no_log(process):
    url = f"ws://127.0.0.1:{process.port}/ws/chat?access_token="
    with client_of(url + process.key) as client:
        client.recv()
    with client_of(url + "guessed-key") as client, pytest.raises(ConnectionClosed) as caught:
        client.recv()
    assert caught.value.rcvd.code == 1008
    assert process.request("", path=f"/store/status?access_token={process.key}", method="GET").startswith(
        b"HTTP/1.1 200"
    )
    log = process.log.read_text()
    assert "WEBSOCKET /ws/chat 101" in log
    assert process.key not in log
    assert process.key.rpartition("_")[2] not in log
    assert "guessed-key" not in log


def test_more_sockets_than_allowed_are_told_to_come_back(process):
    """10,000 are asked for in tests that are marked soak."""
    ask_for_sockets(process, SOCKETS + 10)


@pytest.mark.soak
def test_ten_thousand_sockets_are_asked_for(process):
    ask_for_sockets(process, 10_000)


def ask_for_sockets(process: Process, asked: int) -> None:
    url, kept, refused = f"ws://127.0.0.1:{process.port}/ws/chat", 0, 0
    with ExitStack() as stack:
        for _ in range(asked):
            client = stack.enter_context(
                client_of(url, additional_headers={"x-api-key": process.key}, compression=None)
            )
            try:
                client.recv()
                kept += 1
            except ConnectionClosed as closed:
                assert (closed.rcvd.code, closed.rcvd.reason) == (1013, "Too many sockets are open.")
                refused += 1
        assert (kept, refused) == (SOCKETS, asked - SOCKETS)
        assert process.is_alive()

    def has_room() -> bool:
        with client_of(url, additional_headers={"x-api-key": process.key}) as client:
            try:
                client.recv()
            except ConnectionClosed:
                return False
            return True

    poll(has_room)


def test_more_connections_than_allowed_are_cut(process):
    """A connection that sends nothing is one file of the process."""
    idle = [process.connection() for _ in range(1_000 + SOCKETS)]
    try:
        poll(lambda: process.request("", path="/healthz", method="GET") == b"")
    finally:
        for each in idle:
            each.close()
    poll(process.is_alive)
