"""The responder for a model behind an interface like OpenAI's, against a real HTTP server that misbehaves."""

from __future__ import annotations

import asyncio
import json
import threading
from decimal import Decimal

import pytest

from chatstore_cli.domain.errors import BadConfig
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.responding import Mode, Question
from chatstore_cli.server.turns.answers import NoAnswer, whole_answer
from chatstore_cli.server.turns.responders.openai import OpenAIResponder
from tests.support.served_app import served, settings_of
from tests.support.streamed_model import DONE, chunk, streamed_model

KEY = "sk-secret-of-the-test-0123456789"
USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}


@pytest.fixture
def model():
    with streamed_model() as running:
        yield running


def _ask(model, *, seconds=30.0, history=(), url=None):
    async def ask():
        responder = OpenAIResponder(url or model.url, "model-1", KEY)
        return await whole_answer(responder, Question(Mode.CHAT, "s", "hello", history), seconds, lambda part: None)

    return asyncio.run(ask())


def _reason(model, **how):
    with pytest.raises(NoAnswer) as caught:
        _ask(model, **how)
    reason = caught.value.message
    assert KEY not in reason
    assert "127.0.0.1" not in reason
    return reason


def test_the_request_has_the_key_the_model_and_the_history(model):
    model.parts = [chunk("hi", "stop"), DONE]
    history = [
        Message("s", "user", "one"),
        Message("s", "tool", "left out"),
        Message("s", "assistant", "two"),
        Message("s", "user", "hello"),
    ]
    _ask(model, history=history, url=model.url + "/")
    [(path, headers, body)] = model.requests
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert body == {
        "model": "model-1",
        "messages": [
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "two"},
            {"role": "user", "content": "hello"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_the_pieces_are_one_text_and_the_last_usage_counts(model):
    stream = b"".join(
        [
            b": a comment\r\n\r\nevent: message\r\n",
            chunk("Gr\u00fc"),
            chunk(None, usage={**USAGE, "completion_tokens": 1}),
            chunk("\u00dfe \U0001f600"),
            chunk(None, "stop"),
            json.dumps({}).encode() + b"\n",
            b"data: "
            + json.dumps({"model": "model-1", "choices": [], "usage": {**USAGE, "cost": 0.25}}).encode()
            + b"\n\n",
            DONE,
        ]
    )
    model.parts = [bytes([byte]) for byte in stream]
    answer = _ask(model)
    assert answer.text == "Gr\u00fc\u00dfe \U0001f600"
    [used] = answer.usage
    assert used.usage == (7, 2, 9, Decimal("0.25"))
    assert used.model == "model-1"


def test_an_answer_that_is_not_streamed_is_one_too(model):
    model.headers = {"Content-Type": "application/json; charset=utf-8"}
    message = {"role": "assistant", "content": "hi"}
    body = {"model": "model-1", "choices": [{"index": 0, "message": message}], "usage": USAGE}
    model.parts = [json.dumps(body).encode()]
    answer = _ask(model)
    assert (answer.text, answer.usage[0].usage.total_tokens) == ("hi", 9)


@pytest.mark.parametrize(
    "parts",
    [
        [chunk("hi")],
        [chunk("hi"), b"data: "],
        [chunk("hi"), chunk(None, usage=USAGE)],
        [b'data: {"choices": [{"delta": {"content": "hi"}}'],
    ],
)
def test_half_a_stream_is_no_answer(model, parts):
    model.parts = parts
    assert "before the answer was complete" in _reason(model) or "invalid JSON" in _reason(model)


def test_a_stream_that_breaks_off_is_no_answer(model):
    model.headers["Content-Length"] = "100000"
    model.parts = [chunk("hi")]
    assert "the connection to the model's server failed (RemoteProtocolError)" in _reason(model)


@pytest.mark.parametrize("status", [204, 400, 401, 403, 404, 429, 500, 503])
def test_another_status_is_no_answer_and_its_body_is_not_shown(model, status):
    model.status, model.parts = status, [f"key {KEY} is invalid".encode()] if status != 204 else []
    assert f"status {status}" in _reason(model)


def test_a_redirect_is_not_followed(model):
    with streamed_model() as other:
        other.parts = [chunk("hi", "stop"), DONE]
        model.headers, model.status = {"Location": other.url + "/chat/completions"}, 307
        assert "status 307" in _reason(model)
        assert other.requests == []


@pytest.mark.parametrize("kind", ["text/html", "text/event-stream", ""])
def test_a_page_is_no_answer(model, kind):
    model.headers = {"Content-Type": kind}
    model.parts = [b"<html>hello</html>\n"]
    assert f"answered with {kind or 'no content type'}, without an event stream" in _reason(model)


@pytest.mark.parametrize("first", [b"data: ", b""])
def test_a_huge_line_is_no_answer(model, first):
    model.parts = [first, *([b"x" * 65_536] * 40)]
    model.hang = threading.Event()
    assert "line that is too long" in _reason(model)


def test_a_server_that_hangs_is_given_up(model):
    model.parts, model.hang = [chunk("hi")], threading.Event()
    assert "more than 0.3 seconds" in _reason(model, seconds=0.3)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{", "invalid JSON"),
        (b"[" * 100_000, "invalid JSON"),
        (b"1" * 10_000, "invalid JSON"),
        (b'{"error": {"message": "no"}}', "reported an error"),
    ],
)
def test_events_that_are_not_of_the_stream(model, data, reason):
    model.parts = [b"data: " + data + b"\n\n", DONE]
    assert reason in _reason(model)


@pytest.mark.parametrize(
    "event",
    [
        [],
        5,
        None,
        "text",
        {"choices": 5},
        {"choices": [5, None, {"delta": 5}, {"delta": {"content": 5}}]},
        {"usage": []},
    ]
    + [{"usage": {"prompt_tokens": value}} for value in (-1, "a", 10**30, [1], {"a": 1}, 1.5)]
    + [{"usage": {"prompt_tokens": 1, "cost": value}} for value in (-1, "a", 10**30, [], True)],
)
def test_fields_that_are_not_expected_are_ignored(model, event):
    model.parts = [b"data: " + json.dumps(event).encode() + b"\n\n", chunk("hi", "stop"), DONE]
    answer = _ask(model)
    assert (answer.text, answer.usage) == ("hi", [])


def test_a_server_that_does_not_listen_is_no_answer():
    with streamed_model() as stopped:
        pass
    assert "the connection to the model's server failed (ConnectError)" in _reason(stopped)


@pytest.mark.parametrize(
    "url", ["", "localhost:8000", "ftp://a/v1", "http://", "http://a:99999/v1", "http://[a/v1", "/v1"]
)
def test_a_url_without_a_host_is_a_wrong_configuration(url):
    with pytest.raises(BadConfig, match="responder_url"):
        OpenAIResponder(url, "m", None)


@pytest.mark.parametrize("key", ["sk-secret\n", " sk-secret", "sk-s\u00e9cret", "sk-secret\0"])
def test_a_key_that_no_header_may_have_is_a_wrong_configuration_that_does_not_show_it(key):
    with pytest.raises(BadConfig) as caught:
        OpenAIResponder("http://localhost/v1", "m", key)
    assert "secret" not in caught.value.as_text()


def test_over_http_the_key_is_in_no_answer_and_in_no_log(model, tmp_path, caplog):
    caplog.set_level("DEBUG", logger="chatstore")
    settings = settings_of(
        tmp_path, responder="openai", responder_url=model.url, responder_model="model-1", responder_key=KEY
    )
    with served(settings) as server:
        model.parts = [chunk("hi", "stop"), DONE]
        good = server.client.post("/api/chat", json={"message": "hello", "session_id": "s"})
        assert good.json()["response"] == "hi"
        model.status = 401
        failed = server.client.post("/api/chat", json={"message": "again", "session_id": "s"})
    assert failed.status_code == 500
    assert failed.json() == {"detail": "The responder did not answer: the model's server answered with status 401."}
    assert KEY not in caplog.text + failed.text
    assert [each.content for each in server.services.cache.messages("s")] == ["hello", "hi", "again"]


def test_the_connections_are_closed_when_the_server_stops(tmp_path, model):
    model.parts = [chunk("hi", "stop"), DONE]
    chosen = {"responder": "openai", "responder_url": model.url, "responder_model": "m"}
    with served(settings_of(tmp_path, **chosen)) as server:
        assert server.client.post("/api/chat", json={"message": "hello"}).status_code == 200
        client = server.services.responder._client
        assert not client.is_closed
    assert client.is_closed
