"""A MongoDB that hangs or is away: recording never waits for it, reads are refused in time, and nothing is lost."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import pytest
import websockets

from tests.conftest import Chatstore
from tests.support.mongod import Mongod, poll
from tests.support.server_processes import ServerProcess, running_server, users_texts

pytestmark = pytest.mark.real

READS = 200


def stop(mongod: Mongod, how: str) -> None:
    if how == "hanging":
        mongod.pause()
    else:
        mongod.kill()


def start_again(mongod: Mongod, how: str) -> None:
    if how == "hanging":
        mongod.resume()
    elif mongod.process is None:
        mongod.start()


OUTAGES = pytest.mark.parametrize("how", ["hanging", pytest.param("away", marks=pytest.mark.soak)])


@OUTAGES
def test_a_server_that_starts_in_an_outage_serves_from_the_cache_and_catches_up(
    own_chatstore: Chatstore, own_mongod: Mongod, own_database: Any, how: str
):
    stop(own_mongod, how)
    try:
        with running_server(own_chatstore) as earlier:
            earlier.say("old", "left by a crash")
            earlier.kill()
        with running_server(own_chatstore) as server:
            assert server.say("new", "recorded in an outage").status_code == 200
            with server.client() as client:
                [first, _] = client.get("/api/chat/history?session_id=old").json()["messages"]
                assert first["text"] == "left by a crash"
                assert client.get("/store/sessions").status_code == 503
                start_again(own_mongod, how)
                poll(lambda: "The database is ready" in server.err, what="the catching up")
                poll(lambda: client.get("/readyz").status_code == 200, what="a server that is ready")
            messages = own_database["chat_messages"]
            poll(lambda: messages.count_documents({}) == 4, what="the messages")
            assert sorted(users_texts(messages)) == ["left by a crash", "recorded in an outage"]
            for name, index in (("chat_messages", "recent_idx"), ("GeneralChatSessions", "gc_status")):
                assert index in own_database[name].index_information()
            assert server.end() == 0
        assert server.err.count("The server records in its journals until the database answers.") == 1
        assert "[CHAT WORKER] Flushed 2/2 chat messages to Mongo" in server.err
    finally:
        start_again(own_mongod, how)


@OUTAGES
def test_reads_that_hang_are_refused_and_do_not_stop_recording(
    own_chatstore: Chatstore, own_mongod: Mongod, own_database: Any, how: str
):
    with running_server(own_chatstore, CHATSTORE_SERVER__READ_THREADS="4") as server:
        poll(lambda: "The database is ready" in server.err, what="the preparation")
        idle = server.threads
        stop(own_mongod, how)
        try:
            asyncio.run(_read_while_it_hangs(server, idle))
        finally:
            start_again(own_mongod, how)
        with server.client() as client:
            poll(lambda: client.get("/store/sessions").status_code == 200, what="a read")
        messages = own_database["chat_messages"]
        poll(lambda: messages.count_documents({"role": "user"}) == 20, what="the messages")
        assert sorted(users_texts(messages)) == sorted(f"text {number}" for number in range(20))


async def _read_while_it_hangs(server: ServerProcess, idle_threads: int) -> None:
    limits = httpx2.Limits(max_connections=READS + 50)
    async with httpx2.AsyncClient(base_url=server.url, timeout=120, limits=limits) as client:
        reads = [asyncio.create_task(client.get("/store/sessions")) for _ in range(READS)]
        for number in range(20):
            said = await client.post("/api/chat", json={"session_id": "s", "message": f"text {number}"})
            assert said.status_code == 200
        assert (await client.get("/health")).status_code == 200
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        assert server.threads <= idle_threads + 4 + 4  # those of reading and of recording
        answers = await asyncio.gather(*reads)
    assert {answer.status_code for answer in answers} == {503}
    assert {answer.json()["error"]["kind"] for answer in answers} <= {"too_slow", "unreachable"}


def test_idle_sockets_and_streams_hold_no_thread_and_end_with_the_server(own_chatstore: Chatstore):
    with running_server(own_chatstore) as server:
        poll(lambda: "The database is ready" in server.err, what="the preparation")
        asyncio.run(_be_idle(server))
        assert server.process.wait(120) == 0, server.err
    assert "Traceback" not in server.err


async def _be_idle(server: ServerProcess, connections: int = 60) -> None:
    address = server.url.replace("http", "ws") + "/ws/chat?session_id="
    limits = httpx2.Limits(max_connections=connections + 50)
    async with httpx2.AsyncClient(base_url=server.url, timeout=120, limits=limits) as client:
        first = await _stream(client)
        threads = server.threads
        streams = [first, *await asyncio.gather(*(_stream(client) for _ in range(connections - 1)))]
        sockets = await asyncio.gather(
            *(websockets.connect(f"{address}{number}", open_timeout=120) for number in range(connections))
        )
        for socket in sockets:
            assert json.loads(await socket.recv())["type"] == "system"
        status = (await client.get("/store/status")).json()
        assert status["sockets"] == connections
        assert server.threads <= threads + 16 + 4  # of reading and of recording, some of which have not ended yet
        server.process.terminate()
        for socket in sockets:
            with pytest.raises(websockets.ConnectionClosed):
                await socket.recv()
            assert (socket.close_code, socket.close_reason) == (1001, "The server is stopping.")
        for answer in streams:
            assert b"event" not in await answer.aread()


async def _stream(client: httpx2.AsyncClient) -> httpx2.Response:
    answer = await client.send(client.build_request("GET", "/store/events"), stream=True)
    assert answer.status_code == 200
    return answer
