"""Both sockets get generated frames: each frame is answered, and the server and the socket survive them."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatstore_cli.server.sockets.platform_frames import KNOWN
from tests.support.served_app import served, settings_of

TEXTS = st.sampled_from(["", " ", "hello", "stop", "/clear", "\ud800", "a\0b", "$where", "a.b", "../x", "x" * 5_000])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.text(max_size=10),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(TEXTS, children, max_size=3),
    max_leaves=8,
)
CHAT_FRAMES = st.dictionaries(st.sampled_from(["message", "command", "type", "session_id"]), VALUES | TEXTS, max_size=3)
_KEYS = ["chat_id", "text", "request_id", "context", "workflow_name", "initial_message", "runs", "lastClientIndex"]
_KEYS += ["lastSequence", "auto_run", "activate_first", "data", "frontend_context", "eventId", "ui_context"]
_KINDS = sorted(KNOWN)
PLATFORM_FRAMES = st.builds(
    lambda kind, fields: {**fields, "type": kind},
    st.sampled_from([*_KINDS, *_KINDS, "unknown", "", 5, None]),
    st.dictionaries(st.sampled_from(_KEYS), VALUES | TEXTS | st.integers(-2, 3), max_size=6),
)
ANY = st.text(max_size=30) | VALUES.map(json.dumps)


def _send_all(server, path, frames, probe, is_answer):
    with server.socket(path) as socket:
        for frame in frames:
            socket.send_text(frame if isinstance(frame, str) else json.dumps(frame))
            socket.send_json(probe)
            answered = 0
            while not is_answer(each := socket.receive_json()):
                answered += 1
                assert isinstance(each["type"], str)
                assert answered < 5_000


def _fuzz_chat(server, frames):
    _send_all(
        server,
        "/ws/chat?session_id=fuzz",
        frames,
        {"command": "unknown"},
        lambda each: each["type"] == "error" and "Unknown command" in each["message"],
    )
    assert server.client.get("/healthz").status_code == 200


def _fuzz_platform(server, frames):
    started = server.client.post("/api/chats/acme/Sales/start", json={"user_id": "u", "force_new": True}).json()
    _send_all(
        server,
        f"/ws/Sales/acme/{started['chat_id']}/u",
        frames,
        {"type": "ui_tool_response", "eventId": "probe"},
        lambda each: each["type"] == "ack.ui_tool_response" and each["data"]["eventId"] == "probe",
    )
    assert server.client.get("/healthz").status_code == 200


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory, mongod, module_database):
    """An application that many examples share."""
    folder = tmp_path_factory.mktemp("fuzzed")
    with served(settings_of(folder, mongod.uri, module_database.name, requests_per_minute=1_000_000)) as server:
        yield server


QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck), "database": None}


@settings(max_examples=15, derandomize=True, **QUIET)
@given(st.lists(CHAT_FRAMES | ANY, min_size=1, max_size=6))
def test_the_chat_socket_answers_whatever_it_gets(fuzzed, frames):
    _fuzz_chat(fuzzed, frames)


@settings(max_examples=12, derandomize=True, **QUIET)
@given(st.lists(PLATFORM_FRAMES | ANY, min_size=1, max_size=5))
def test_the_platforms_socket_answers_whatever_it_gets(fuzzed, frames):
    _fuzz_platform(fuzzed, frames)


@pytest.mark.soak
@settings(max_examples=1_000, **QUIET)
@given(st.lists(CHAT_FRAMES | ANY, min_size=1, max_size=10))
def test_the_chat_socket_answers_many_more(fuzzed, frames):
    _fuzz_chat(fuzzed, frames)


@pytest.mark.soak
@settings(max_examples=500, **QUIET)
@given(st.lists(PLATFORM_FRAMES | ANY, min_size=1, max_size=8))
def test_the_platforms_socket_answers_many_more(fuzzed, frames):
    _fuzz_platform(fuzzed, frames)
