"""Input by POST: it is recorded, answered once, and sockets of the session get all of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from tests.support.mongod import poll
from tests.support.platform_server import PlatformServer, running
from tests.support.served_app import settings_of

SUBMIT = "/api/user-input/submit"
SUBMITTED = {"status": "success", "message": "The input was submitted."}
NO_REQUEST = {"detail": "Input request not found"}
EMPTY = {"detail": "Message cannot be empty."}


@pytest.fixture(scope="module")
def platform(mongod: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformServer]:
    """One server for the tests of this module, each of which has a tenant of its own."""
    database = f"test_{uuid.uuid4().hex[:12]}"
    with running(settings_of(tmp_path_factory.mktemp("platform"), mongod.uri, database)) as server:
        yield server
    mongod.client().drop_database(database)


@pytest.fixture
def http(platform: PlatformServer) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=f"http://127.0.0.1:{platform.port}", timeout=300) as client:
        yield client


@pytest.fixture
def socket_path(platform: PlatformServer) -> str:
    """The path of the socket of a new session: `/ws/flow/{tenant}/{chat}/ana`."""
    return platform.start_chat(f"t{uuid.uuid4().hex[:8]}")


def input_path(socket_path: str) -> str:
    _, _, _, tenant, chat, user = socket_path.split("/")
    return f"/chat/{tenant}/{chat}/{user}/input"


def turns(platform: PlatformServer, socket_path: str) -> list[tuple[str, Any]]:
    """The stored turns of the session."""
    document = platform.services.stores.connection.database["chat_sessions"]
    found = document.find_one({"chat_id": socket_path.split("/")[4]})
    assert found is not None
    return [(each["role"], each["content"]) for each in found["messages"]]


def asked_for(platform: PlatformServer, http: httpx2.Client, socket_path: str, request_id: str) -> None:
    """Let the responder ask for input with this id."""
    text = f"ask {request_id}"
    assert http.post(input_path(socket_path), json={"message": text}).status_code == 200
    poll(lambda: ("assistant", f"re: {text}") in turns(platform, socket_path))


def test_a_message_is_recorded_and_answered_and_every_socket_of_the_session_gets_both(platform, http, socket_path):
    with platform.client(socket_path) as first, platform.client(socket_path) as second:
        for client in (first, second):
            client.until("chat.resume_boundary")
        answer = http.post(input_path(socket_path), json={"message": "hello", "workflow_name": "flow"})
        assert (answer.status_code, answer.json()) == (200, {"status": "accepted", "transport": "websocket"})
        assert list(answer.json()) == ["status", "transport"]
        for client in (first, second):
            frames = [each["data"]["content"] for each in client.text("re: hello") if each["type"] == "chat.text"]
            assert frames == ["hello", "re: hello"]
    assert turns(platform, socket_path) == [("user", "hello"), ("assistant", "re: hello")]
    database = platform.services.stores.connection.database
    [stored, _] = database["chat_sessions"].find_one({"chat_id": socket_path.split("/")[4]})["messages"]
    assert stored["source"] == "ws"


def test_the_same_text_twice_is_two_messages(platform, http, socket_path):
    for _ in range(2):
        assert http.post(input_path(socket_path), json={"message": "again"}).status_code == 200
    poll(lambda: len(turns(platform, socket_path)) == 4)
    assert sorted(turns(platform, socket_path)) == sorted([("user", "again"), ("assistant", "re: again")] * 2)


def test_a_request_for_input_reaches_the_sockets_and_is_answered_by_post(platform, http, socket_path):
    request_id = f"in-{uuid.uuid4().hex}"
    with platform.client(socket_path) as client:
        client.until("chat.resume_boundary")
        http.post(input_path(socket_path), json={"message": f"ask {request_id}"})
        asked = client.data("chat.input_request")
        assert (asked["input_request_id"], asked["prompt"]) == (request_id, "Which one?")
        client.until("chat.run_complete")
        answer = http.post(SUBMIT, json={"input_request_id": request_id, "user_input": "this one"})
        assert (answer.status_code, answer.json(), list(answer.json())) == (200, SUBMITTED, ["status", "message"])
        frames = [each["data"]["content"] for each in client.text("re: this one") if each["type"] == "chat.text"]
        assert frames == ["this one", "re: this one"]
    repeated = http.post(SUBMIT, json={"input_request_id": request_id, "user_input": "that one"})
    assert (repeated.status_code, repeated.json()) == (404, NO_REQUEST)
    assert [content for _, content in turns(platform, socket_path)][2:] == ["this one", "re: this one"]


def test_of_answers_at_once_one_takes_effect(platform, http, socket_path):
    request_id = f"in-{uuid.uuid4().hex}"
    asked_for(platform, http, socket_path, request_id)
    with ThreadPoolExecutor(8) as pool:
        bodies = [{"input_request_id": request_id, "user_input": f"choice {number}"} for number in range(8)]
        answers = [*pool.map(lambda body: http.post(SUBMIT, json=body), bodies)]
    assert sorted(each.status_code for each in answers) == [200] + [404] * 7
    [chosen] = [number for number, each in enumerate(answers) if each.status_code == 200]
    expected = [("user", f"choice {chosen}"), ("assistant", f"re: choice {chosen}")]
    poll(lambda: len(turns(platform, socket_path)) == 4)
    assert turns(platform, socket_path)[2:] == expected


def test_a_request_whose_answer_could_not_be_stored_can_be_answered_again(platform, http, socket_path, fail_point):
    request_id = f"in-{uuid.uuid4().hex}"
    asked_for(platform, http, socket_path, request_id)
    body = {"input_request_id": request_id, "user_input": "this one"}
    database = platform.services.stores.connection.database.name
    with fail_point(["update", "findAndModify"], errorCode=50, namespace=f"{database}.chat_sessions"):
        failed = http.post(SUBMIT, json=body)
        assert (failed.status_code, list(failed.json())) == (503, ["detail"])
    assert http.post(SUBMIT, json=body).json() == SUBMITTED
    poll(lambda: len(turns(platform, socket_path)) == 4)
    assert turns(platform, socket_path)[2:] == [("user", "this one"), ("assistant", "re: this one")]


def test_while_the_database_fails_nothing_is_accepted(platform, http, socket_path, fail_point):
    with fail_point(["find", "aggregate"], errorCode=50):
        answer = http.post(input_path(socket_path), json={"message": "hello"})
    assert (answer.status_code, answer.json()) == (
        503,
        {"detail": "The database did not answer in time. Try again later."},
    )
    assert turns(platform, socket_path) == []


def test_an_answer_that_fails_leaves_the_message_recorded(platform, http, socket_path):
    with platform.client(socket_path) as client:
        client.until("chat.resume_boundary")
        assert http.post(input_path(socket_path), json={"message": "raise"}).status_code == 200
        error = client.data("chat.error")
        assert error["error_code"] == "USER_MESSAGE_FAILED"
        assert "secret" not in error["message"]
    assert turns(platform, socket_path) == [("user", "raise")]


@pytest.mark.parametrize("message", ["", " \n\t", None, "missing"])
def test_an_empty_message_is_400(platform, http, socket_path, message):
    body = {} if message == "missing" else {"message": message}
    answer = http.post(input_path(socket_path), json=body)
    assert (answer.status_code, answer.json()) == (400, EMPTY)
    submitted = {} if message == "missing" else {"user_input": message}
    answer = http.post(SUBMIT, json={"input_request_id": "x", **submitted})
    assert (answer.status_code, answer.json()) == (400, EMPTY)
    assert turns(platform, socket_path) == []


def test_a_session_of_another_tenant_user_or_workflow_is_404(platform, http, socket_path):
    _, _, _, tenant, chat, user = socket_path.split("/")
    cases = [
        (f"/chat/other/{chat}/{user}/input", {}),
        (f"/chat/{tenant}/other/{user}/input", {}),
        (f"/chat/{tenant}/{chat}/bob/input", {}),
        (input_path(socket_path), {"workflow_name": "other"}),
        (f"/chat/{tenant}/%7B%22$gt%22:%22%22%7D/{user}/input", {}),
        (f"/chat/{tenant}/a%00b/{user}/input", {}),
        (f"/chat/{tenant}/{'x' * 10_000}/{user}/input", {}),
    ]
    for path, more in cases:
        answer = http.post(path, json={"message": "hello", **more})
        assert (path, answer.status_code, answer.json()) == (path, 404, {"detail": "Chat not found"})
    assert turns(platform, socket_path) == []


@pytest.mark.parametrize("request_id", ["unknown", "", "$gt", "a\0b", "x" * 10_000])
def test_an_unknown_request_is_404(http, request_id):
    answer = http.post(SUBMIT, json={"input_request_id": request_id, "user_input": "yes"})
    assert (answer.status_code, answer.json()) == (404, NO_REQUEST)


@pytest.mark.parametrize("wrong", [{"$gt": ""}, ["x"], 7, True])
@pytest.mark.parametrize("field", ["message", "workflow_name", "user_input", "input_request_id"])
def test_a_value_of_a_wrong_type_is_422(platform, http, socket_path, field, wrong):
    is_submit = field in ("user_input", "input_request_id")
    valid = {"input_request_id": "x", "user_input": "yes"} if is_submit else {"message": "hello"}
    answer = http.post(SUBMIT if is_submit else input_path(socket_path), json=valid | {field: wrong})
    assert answer.status_code == 422
    assert [each["loc"] for each in answer.json()["detail"]] == [["body", field]]
    assert turns(platform, socket_path) == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"null", b'"text"'])
def test_a_body_that_is_no_input_stores_nothing(platform, http, socket_path, body):
    for path in (SUBMIT, input_path(socket_path)):
        answer = http.post(path, content=body, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 422), answer.text
        assert list(answer.json()) == ["detail"]
    assert turns(platform, socket_path) == []


def test_text_is_stored_as_it_is(platform, http, socket_path):
    text = '{"$set": {"a.b": "$secret"}}\0\u202e ü 🙂'
    http.post(input_path(socket_path), json={"message": text})
    poll(lambda: len(turns(platform, socket_path)) == 2)
    assert turns(platform, socket_path)[0] == ("user", text)
