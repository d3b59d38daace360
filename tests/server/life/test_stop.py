"""How the server stops: at most 10 seconds after TERM or INT, with status 0, whatever its clients and MongoDB do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
import websockets

from tests.conftest import Chatstore
from tests.support.mongod import Mongod, poll
from tests.support.server_processes import ServerProcess, Talk, running_server, users_texts

pytestmark = pytest.mark.real

HANGING = """
import asyncio, threading, time

async def hang(question):
    await asyncio.sleep(3600)

def hang_in_a_thread(question):
    threading.Event().wait()

async def block_the_loop(question):
    while True:
        time.sleep(1)

async def much(question):
    return "x" * 3_000_000
"""


def test_int_under_load_stores_everything_and_exits_with_0(own_chatstore: Chatstore, own_database: Any):
    with running_server(own_chatstore) as server:
        talk = Talk(server, "load")
        talk.wait_for(100)
        assert server.end(signal.SIGINT) == 0
        acknowledged = talk.end()
    texts = users_texts(own_database["chat_messages"])
    assert len(texts) == len(set(texts))
    assert set(acknowledged) <= set(texts)


@pytest.mark.soak
@pytest.mark.parametrize(("function", "status"), [("hang", 0), ("hang_in_a_thread", 0), ("block_the_loop", 1)])
def test_a_responder_and_a_mongodb_that_hang_are_not_waited_for(
    own_chatstore: Chatstore, own_mongod: Mongod, own_database: Any, function: str, status: int
):
    Path(own_chatstore.folder, "hanging.py").write_text(HANGING)
    environment = {"CHATSTORE_SERVER__RESPONDER": f"hanging:{function}", "PYTHONPATH": str(own_chatstore.folder)}
    with running_server(own_chatstore, **environment) as server:
        poll(lambda: "The database is ready" in server.err, what="the preparation")
        own_mongod.pause()
        try:
            asked = asyncio.run(_stop_while_everything_hangs(server))
            assert server.process.wait(300) == status, server.err
            assert time.monotonic() - asked < 10.5
        finally:
            own_mongod.resume()
    assert "Traceback" not in server.err
    with running_server(own_chatstore) as again:
        poll(lambda: "The database is ready" in again.err, what="the catching up")
    assert users_texts(own_database["chat_messages"]) == ["asked"]


async def _stop_while_everything_hangs(server: ServerProcess) -> float:
    """Returns the instant of TERM: with an answer that never comes, a read, and an idle socket."""
    async with httpx2.AsyncClient(base_url=server.url, timeout=300) as client:
        socket = await websockets.connect(
            server.url.replace("http", "ws") + "/ws/chat?session_id=idle", open_timeout=60
        )
        asking = asyncio.create_task(client.post("/api/chat", json={"session_id": "s", "message": "asked"}))
        reading = asyncio.create_task(client.get("/store/sessions"))
        await asyncio.to_thread(poll, lambda: "Recording session 's'" in server.err, what="the recording")
        asked = time.monotonic()
        server.process.terminate()
        for task in (asking, reading):
            with contextlib.suppress(httpx2.HTTPError):
                await task
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                await socket.recv()
        return asked


@pytest.mark.soak
def test_clients_that_do_not_read_are_not_waited_for(own_chatstore: Chatstore):
    Path(own_chatstore.folder, "hanging.py").write_text(HANGING)
    environment = {"CHATSTORE_SERVER__RESPONDER": "hanging:much", "PYTHONPATH": str(own_chatstore.folder)}
    with running_server(own_chatstore, **environment) as server:
        took = asyncio.run(_stop_with_clients_that_do_not_read(server))
        assert server.process.wait(300) == 0, server.err
        assert took < 10.5
    assert "Traceback" not in server.err


async def _stop_with_clients_that_do_not_read(server: ServerProcess) -> float:
    """Returns how many seconds the stop took."""
    host, port = server.url.removeprefix("http://").split(":")
    body = json.dumps({"session_id": "s", "message": "much"}).encode()
    head = f"POST /api/chat HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    _, silent = await asyncio.open_connection(host, int(port), limit=1)
    silent.write(head.encode() + b"\r\n\r\n" + body)
    _, half = await asyncio.open_connection(host, int(port))
    half.write(head.encode() + b"\r\n\r\n{")
    async with websockets.connect(server.url.replace("http", "ws") + "/ws/chat?session_id=t", max_queue=1) as socket:
        await socket.send(json.dumps({"message": "much"}))
        recorded = server.out_file.parent / "data/cache/chat_sessions/t.jsonl"
        await asyncio.to_thread(
            poll, lambda: recorded.exists() and recorded.stat().st_size > 3_000_000, what="the answer"
        )
        asked = time.monotonic()
        server.process.terminate()
        await asyncio.to_thread(server.process.wait, 60)
        took = time.monotonic() - asked
        socket.transport.abort()
    for writer in (silent, half):
        writer.close()
    return took
