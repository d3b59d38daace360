"""The platform's socket when something is slow, gone, or in another process."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from chatstore_cli.server import run
from chatstore_cli.server.sockets import frames as frames_module
from tests.support.mongod import Mongod, poll
from tests.support.platform_server import Client, PlatformServer, running
from tests.support.served_app import settings_of

TURNS = 10_000


@pytest.fixture
def tenant() -> str:
    return f"t{uuid.uuid4().hex[:8]}"


@contextlib.contextmanager
def slow_client(server: PlatformServer, path: str) -> Iterator[Client]:
    """A client with small buffers, so that the server notices soon that it does not read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    connection.connect(("127.0.0.1", server.port))
    with server.client(path, sock=connection, max_queue=1) as client:
        yield client


def long_chat(server: PlatformServer, tenant: str, turns: int = TURNS) -> str:
    """The socket's path of a session with many turns, which are more than a connection's buffers hold."""
    path = server.start_chat(tenant)
    now = datetime.now(UTC)
    rows = [
        {"role": "user", "name": "user", "content": f"{number} {'x' * 100}", "timestamp": now, "sequence": number}
        for number in range(1, turns + 1)
    ]
    server.services.stores.connection.database["chat_sessions"].update_one(
        {"chat_id": path.split("/")[4]}, {"$set": {"messages": rows, "last_sequence": turns}}
    )
    return path


def attached(server: PlatformServer) -> int:
    """The number of connections in the session registry."""
    return len(server.services.registry._attached)


def test_a_client_that_reads_too_slowly_gets_an_error_frame_and_no_gap(
    tmp_path: Path, mongo_uri: str, database: Any, tenant: str, monkeypatch: pytest.MonkeyPatch
):
    most_queued = 0
    all_frames: set[frames_module.Frames] = set()
    put_nowait = frames_module.Frames._queue

    def counted(self: frames_module.Frames, text: str) -> None:
        nonlocal most_queued
        put_nowait(self, text)
        most_queued = max(most_queued, self._waiting.qsize())
        all_frames.add(self)

    monkeypatch.setattr(frames_module.Frames, "_queue", counted)
    with running(settings_of(tmp_path, mongo_uri, database.name)) as server:
        path = long_chat(server, tenant)
        with server.client(path) as quick, contextlib.ExitStack() as stack:
            replayed = quick.until("chat.resume_boundary")
            assert [each["data"]["sequence"] for each in replayed[1:-1]] == list(range(1, TURNS + 1))
            # Only from now on: on a busy machine the quick client too may get no processor for as long.
            monkeypatch.setattr(frames_module, "_SECONDS_FOR_ROOM", 0.2)
            slow = stack.enter_context(slow_client(server, path))
            poll(lambda: any(each.overflowed for each in all_frames), what="giving up the client that reads too slowly")
            sequences: list[int] = []
            for frame in slow.until("chat.error"):
                if frame["type"] == "chat.text":
                    sequences.append(frame["data"]["sequence"])
            assert frame["data"]["error_code"] == "SLOW_READER"
            assert sequences == list(range(1, len(sequences) + 1))
            assert len(sequences) < TURNS
            assert slow.end() == 1013
            assert most_queued <= 1_001
            quick.say("goes on")


@pytest.mark.soak
@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system has no such limit")
def test_a_client_that_reads_nothing_any_more_is_given_up(
    tmp_path: Path, mongo_uri: str, database: Any, tenant: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(run, "_MILLISECONDS_WITHOUT_PROGRESS", 500)
    with running(settings_of(tmp_path, mongo_uri, database.name)) as server:
        path = long_chat(server, tenant, 3_000)
        with contextlib.suppress(ConnectionClosed), slow_client(server, path):
            poll(lambda: attached(server) == 1)
            poll(lambda: attached(server) == 0, what="the end of the client that reads nothing")


def test_a_client_that_vanished_is_noticed_by_its_missing_pong(
    tmp_path: Path, mongo_uri: str, database: Any, tenant: str
):
    configurations: list[Any] = []

    def ping_often(config: Any) -> None:
        config.ws_ping_interval = 0.1
        configurations.append(config)

    with running(settings_of(tmp_path, mongo_uri, database.name), ping_often) as server:
        path = server.start_chat(tenant)
        with server.client(path) as living, socket.create_connection(("127.0.0.1", server.port)) as vanished:
            living.until("chat.resume_boundary")
            # Only for the other one: on a busy machine an answer to a ping may take as long.
            configurations[0].ws_ping_timeout = 0.2
            head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            vanished.sendall((head + key).encode())
            with contextlib.suppress(ConnectionResetError):
                while vanished.recv(65_536):
                    pass  # until the server ends the connection
            poll(lambda: attached(server) == 1, what="the end of the vanished client")
            living.say("goes on")


def test_a_socket_survives_an_outage_of_the_database(
    tmp_path: Path, own_mongod: Mongod, own_database: Any, tenant: str, monkeypatch: pytest.MonkeyPatch
):
    mongod = own_mongod
    settings = settings_of(tmp_path, mongod.uri, own_database.name)
    with running(settings) as server:
        path = server.start_chat(tenant)
        with server.client(path) as client, server.client(path) as other:
            client.until("chat.resume_boundary"), other.until("chat.resume_boundary")
            client.say("before", request_id="r1")
            other.text("re: before")
            mongod.kill()
            monkeypatch.setattr(server.services.reading, "_seconds", 0.5)  # each of the next calls waits to the end
            client.send("user.input.submit", text="during", request_id="r2")
            assert client.data("ack.input") == {"input_request_id": "r2", "status": "rejected"}
            error = client.data("chat.error")
            assert error["error_code"] == "USER_MESSAGE_FAILED"
            assert str(mongod.folder) not in error["message"]
            client.send("chat.enter_general_mode")
            assert client.data("chat.error")["error_code"] == "GENERAL_MODE_FAILED"
            with server.client(path) as refused:
                assert refused.end() == 1013
            monkeypatch.setattr(server.services.reading, "_seconds", 30.0)
            mongod.start()

            def is_accepted() -> bool:
                client.send("user.input.submit", text="during", request_id="r2", chat_id=path.split("/")[4])
                return bool(client.data("ack.input")["status"] == "accepted")

            poll(is_accepted, what="a database that answers again")
            client.text("re: during")
            for each in (client, other):
                each.send("client.resume", chat_id=path.split("/")[4], lastSequence=0)
            texts = [
                each["data"]["content"]
                for each in other.until("chat.resume_boundary")
                if each["type"] == "chat.text" and each["data"]["replay"]
            ]
            assert texts == ["before", "re: before", "during", "re: during"]


@pytest.mark.soak
def test_two_processes_share_the_live_turns_of_a_session(
    tmp_path: Path, mongo_uri: str, database: Any, tenant: str, chatstore: Any
):
    log = tmp_path / "log"
    env = {"CHATSTORE_MONGO__URI": mongo_uri, "CHATSTORE_MONGO__DATABASE": database.name}
    with running(settings_of(tmp_path, mongo_uri, database.name)) as server, log.open("wb") as errors:
        process = chatstore.popen("serve", "--port", "0", env=env, stderr=errors)
        try:
            poll(lambda: b"Serving on" in log.read_bytes())
            found = re.search(rb"Serving on http://127.0.0.1:(\d+)", log.read_bytes())
            assert found is not None
            other_server = PlatformServer(server.services, server.responder, int(found[1]))
            path = server.start_chat(tenant)
            with server.client(path) as here, other_server.client(path) as there:
                here.until("chat.resume_boundary"), there.until("chat.resume_boundary")
                here.say("from here")
                there.text("re: from here")
                there.send("user.input.submit", text="from there")
                here.until("chat.text", lambda data: data["index"] == 3)
                frames = there.until("chat.run_complete")
                indexes = [each["data"]["index"] for each in frames if each["type"] == "chat.text"]
                assert indexes == [2, 3]
        finally:
            process.terminate()
            assert process.wait(120) == 0


def test_ten_sockets_that_write_at_once_all_see_every_turn_once(
    tmp_path: Path, mongo_uri: str, database: Any, tenant: str
):
    with running(settings_of(tmp_path, mongo_uri, database.name)) as server, contextlib.ExitStack() as stack:
        path = server.start_chat(tenant)
        clients = [stack.enter_context(server.client(path)) for _ in range(10)]
        seen: dict[int, list[int]] = {}

        def talk(number: int) -> None:
            frames = clients[number].until("chat.resume_boundary")
            clients[number].send("user.input.submit", text=f"from {number}")
            frames += clients[number].until("chat.text", lambda data: data["index"] == 19)
            seen[number] = [each["data"]["index"] for each in frames if each["type"] == "chat.text"]

        threads = [threading.Thread(target=talk, args=(number,)) for number in range(10)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert len(seen) == 10
        assert all(indexes == list(range(20)) for indexes in seen.values())
