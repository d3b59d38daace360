"""The socket of the chat application: its frames in order, its commands, and clients that send anything."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import contextmanager

import pytest
from starlette.websockets import WebSocketDisconnect

from chatstore_cli.domain.responding import Event
from chatstore_cli.server.run import FRAME_BYTES
from tests.support.responders import answering


@contextmanager
def _connected(server, session="s"):
    with server.socket(f"/ws/chat?session_id={session}") as socket:
        welcome = socket.receive_json()
        assert welcome["type"] == "system"
        yield socket


def _turn(socket, text="hello"):
    """The frames of one message."""
    socket.send_json({"message": text})
    return _frames_of_turn(socket)


def _frames_of_turn(socket):
    frames = [socket.receive_json()]
    while frames[-1].get("status") != "complete":
        frames.append(socket.receive_json())
    return frames


def _waiting(server):
    """Let the responder wait until the test sets the second event. The first is set once it was asked."""
    asked, proceed = threading.Event(), threading.Event()

    class Waiting:
        async def respond(self, question):
            asked.set()
            await asyncio.to_thread(proceed.wait, 30)
            yield f"answer to {question.text}"

    server.services.responder = Waiting()
    return asked, proceed


def test_the_frames_of_a_turn_are_in_order_and_have_their_fields(off):
    with off.socket("/ws/chat?session_id=s") as socket:
        welcome = socket.receive_json()
        assert list(welcome) == ["type", "message", "session_id", "session_status", "interactions", "timestamp"]
        assert (welcome["session_id"], welcome["session_status"], welcome["interactions"]) == ("s", "new", 0)
        processing, response, complete = _turn(socket, "  hello ")
    assert list(processing) == ["type", "status", "message", "timestamp"]
    assert (processing["status"], processing["message"]) == ("processing", "Processing your request...")
    assert list(response) == ["type", "message", "status", "session_id", "interaction_count", "timestamp"]
    assert response["message"] == "Echo (no responder is configured): hello"
    assert (response["status"], response["session_id"], response["interaction_count"]) == ("completed", "s", 1)
    assert (complete["type"], complete["status"], complete["message"]) == ("status", "complete", "")
    assert [(each.role, each.content, each.metadata) for each in off.services.cache.messages("s")] == [
        ("user", "hello", {"transport": "websocket"}),
        ("assistant", response["message"], {"transport": "websocket", "status": "completed"}),
    ]
    with off.socket("/ws/chat?session_id=s") as socket:
        again = socket.receive_json()
        assert (again["session_status"], again["interactions"]) == ("resumed", 1)


def test_without_an_id_a_session_gets_a_new_one(off):
    ids = []
    for path in ("/ws/chat", "/ws/chat?session_id="):
        with off.socket(path) as socket:
            ids.append(socket.receive_json()["session_id"])
    assert len(set(ids)) == 2
    assert all(len(each) == 36 for each in ids)


def test_the_commands(off):
    with _connected(off) as socket:
        socket.send_json({"command": "stop"})
        idle = socket.receive_json()
        assert (idle["type"], idle["status"], idle["message"]) == ("status", "idle", "No active task to stop.")
        socket.send_json({"command": "help"})
        assert socket.receive_json()["type"] == "system"
        _turn(socket)
        socket.send_json({"command": "clear"})
        cleared = socket.receive_json()
        assert list(cleared) == ["type", "message", "session_id", "session_status", "timestamp"]
        assert (cleared["type"], cleared["session_status"]) == ("clear", "cleared")
        socket.send_json({"message": " /HELP "})
        assert socket.receive_json()["type"] == "system"
        for wrong in ({"command": "unknown"}, {"command": 5}, {"command": ["stop"]}, {"command": {}}, {}):
            socket.send_json(wrong)
            assert socket.receive_json()["type"] == "error"
    clear, reply = off.services.cache.messages("s")[-2:]
    assert (clear.content, clear.metadata) == ("/clear", {"transport": "websocket", "input_type": "command"})
    assert reply.metadata == {"transport": "websocket", "type": "system"}


def test_stop_cancels_the_answer_and_the_users_turn_stays(off):
    asked, proceed = _waiting(off)
    with _connected(off) as socket:
        socket.send_json({"message": "one"})
        assert socket.receive_json()["status"] == "processing"
        assert asked.wait(120)
        socket.send_json({"command": "stop"})
        assert [socket.receive_json()["status"] for _ in range(2)] == ["cancelling", "cancelled"]
        proceed.set()
        assert _turn(socket, "two")[1]["message"] == "answer to two"
    assert [each.content for each in off.services.cache.messages("s")] == ["one", "two", "answer to two"]


def test_a_second_message_while_the_first_runs_is_refused_and_the_first_is_answered(off):
    asked, proceed = _waiting(off)
    with _connected(off) as socket, _connected(off) as other:
        socket.send_json({"message": "one"})
        assert socket.receive_json()["status"] == "processing"
        assert asked.wait(120)
        for busy in ({"message": "two"}, {"command": "clear"}):
            socket.send_json(busy)
            error = socket.receive_json()
            assert list(error) == ["type", "message", "status", "session_id", "timestamp"]
            assert (error["type"], error["status"]) == ("error", "error")
            assert error["message"].startswith("Error: The previous message")
        other.send_json({"message": "elsewhere"})
        assert other.receive_json()["status"] == "processing"
        proceed.set()
        assert [each["type"] for each in _frames_of_turn(socket)] == ["response", "status"]
        assert _frames_of_turn(other)[0]["message"] == "answer to elsewhere"


def test_a_client_that_leaves_cancels_its_answer(off):
    asked, proceed = _waiting(off)
    with _connected(off) as socket:
        socket.send_json({"message": "one"})
        assert asked.wait(120)
    proceed.set()
    with _connected(off) as socket:
        assert _turn(socket, "two")[1]["message"] == "answer to two"
    assert [each.content for each in off.services.cache.messages("s")] == ["one", "two", "answer to two"]


def test_events_of_the_application_are_frames_between_processing_and_the_response(off):
    answering(
        off, Event("plan", {"goal": "g", "steps": [float("nan")]}), "done", Event("plan_finalize", {"status": "ok"})
    )
    with _connected(off) as socket:
        frames = _turn(socket)
    assert [each["type"] for each in frames] == ["status", "plan", "plan_finalize", "response", "status"]
    assert frames[1]["steps"] == [None]
    assert all("timestamp" in each for each in frames)


@pytest.mark.parametrize(
    "failure", [RuntimeError("secret"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()]
)
def test_a_responder_that_raises_is_an_error_frame_and_the_socket_continues(off, failure):
    answering(off, failure)
    with _connected(off) as socket:
        _, error, _ = _turn(socket)
        assert error["message"] == f"Error: The responder did not answer: it failed ({type(failure).__name__})."
        assert "secret" not in json.dumps(error)
        answering(off)
        assert _turn(socket)[1]["message"] == "answer 1"


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "hello",
        "{",
        "[]",
        '"text"',
        "5",
        "null",
        "NaN",
        '{"message": NaN}',
        '{"message": 5}',
        '{"message": null}',
        '{"message": ["a"]}',
        '{"message": " "}',
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"message": "\\ud800"}',
        "1" * 10_000,
        b"\x00\xff",
        b'{"message": "hello"}',
        b"",
    ],
    ids=str,
)
def test_any_other_frame_is_answered_with_an_error(off, frame):
    with _connected(off) as socket:
        socket.send_bytes(frame) if isinstance(frame, bytes) else socket.send_text(frame)
        answer = socket.receive_json()
        while answer["type"] == "status":
            answer = socket.receive_json()
        assert answer["type"] == "error"
        assert len(json.dumps(answer)) < 1_000
        socket.send_json({"command": "help"})
        while socket.receive_json()["type"] != "system":
            pass
    assert off.services.cache.messages("s") == []


def test_a_message_of_almost_one_megabyte_is_answered(off):
    answering(off, "done")
    text = "x" * (FRAME_BYTES - 100)
    with _connected(off) as socket:
        assert _turn(socket, text)[1]["message"] == "done"
    assert off.services.cache.messages("s")[0].content == text


def test_a_session_id_that_cannot_be_recorded_is_an_error_frame(off):
    with off.socket("/ws/chat?session_id=" + "x" * 10_000) as socket:
        assert socket.receive_json()["session_status"] == "new"
        assert _turn(socket)[1]["type"] == "error"


def test_a_key_with_tenants_is_refused(off):
    text = off.key("acme")["x-api-key"]
    with pytest.raises(WebSocketDisconnect) as caught, off.socket(f"/ws/chat?access_token={text}") as socket:
        socket.receive_json()
    assert caught.value.code == 1008
