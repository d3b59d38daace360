"""`POST /api/chats/{app}/{workflow}/start`: one session for one intention, whoever asks how often."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.workflow.client_chats import cache_seed
from tests.support.served_app import Served, served, settings_of

KEYS = [
    "success", "chat_id", "workflow_name", "app_id", "user_id", "websocket_url", "message", "reused", "cache_seed",
]  # fmt: skip
ASKED = []
NUMBERS = count()


def refuse_investor(request):
    """The hook of the settings of `app`."""
    ASKED.append(request)
    return True if request.workflow_name != "investor" else "Finish the research first."


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, mongod: Any, module_database: Any) -> Iterator[Served]:
    """One application for all tests here. Each test has tenants of its own."""
    settings = settings_of(tmp_path_factory.mktemp("app"), mongod.uri, module_database.name)
    registry = replace(settings.chatstore.registry, prerequisites=f"{__name__}:refuse_investor")
    # On a busy machine two requests may be further apart than the default.
    of_server = replace(settings.chatstore.server, chat_start_seconds=300)
    chatstore = replace(settings.chatstore, registry=registry, server=of_server)
    with served(replace(settings, chatstore=chatstore)) as server:
        yield server


@pytest.fixture
def tenant() -> str:
    return f"tenant{next(NUMBERS)}"


def start(server: Served, tenant: str, workflow: str = "wf", **body: Any) -> dict[str, Any]:
    answer = server.client.post(f"/api/chats/{tenant}/{workflow}/start", json={"user_id": "ana"} | body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_answer_has_the_documented_fields_and_the_session_is_stored(app, module_database, tenant):
    answer = start(app, tenant, client_request_id="r-1")
    chat = answer["chat_id"]
    assert list(answer) == KEYS
    assert answer == {
        "success": True,
        "chat_id": chat,
        "workflow_name": "wf",
        "app_id": tenant,
        "user_id": "ana",
        "websocket_url": f"/ws/wf/{tenant}/{chat}/ana",
        "message": "The session was started.",
        "reused": False,
        "cache_seed": cache_seed(tenant, chat),
    }
    stored = module_database.chat_sessions.find_one({"chat_id": chat})
    expected = {"enterprise_id": tenant, "user_id": "ana", "workflow_name": "wf", "status": 0, "messages": []}
    assert {key: stored[key] for key in expected} == expected
    assert stored["client_request_id"] == "r-1"
    again = start(app, tenant)
    assert again == answer | {"reused": True, "message": "The session was started before."}


def test_the_seed_of_the_cache_is_the_platforms():
    # sha256("acme:c1") begins with these four bytes.
    assert cache_seed("acme", "c1") == 0x41637F28


@pytest.mark.parametrize("body", [None, {}, {"user_id": None}, {"user_id": ""}])
def test_without_a_user_the_session_is_anonymous(app, tenant, body):
    answer = app.client.post(f"/api/chats/{tenant}/wf/start", json=body)
    if body is None:
        answer = app.client.post(f"/api/chats/{tenant}/wf/start")
    assert answer.json()["user_id"] == "anonymous"
    assert answer.json()["websocket_url"].endswith("/anonymous")


def test_another_user_workflow_or_tenant_gets_a_session_of_its_own(app, tenant):
    chats = {
        start(app, tenant)["chat_id"],
        start(app, tenant, user_id="bob")["chat_id"],
        start(app, tenant, "other")["chat_id"],
        start(app, f"{tenant}-b")["chat_id"],
    }
    assert len(chats) == 4


def test_force_new_starts_another_one_and_a_repeated_request_does_not(app, tenant):
    first = start(app, tenant)["chat_id"]
    second = start(app, tenant, force_new=True)["chat_id"]
    third = start(app, tenant, force_new=True, client_request_id="r")
    fourth = start(app, tenant, force_new=True, client_request_id="r")
    assert len({first, second, third["chat_id"]}) == 3
    assert (third["reused"], fourth["reused"]) == (False, True)
    assert fourth["chat_id"] == third["chat_id"]


def test_a_session_that_ended_or_is_older_than_the_setting_is_not_reused(app, module_database, tenant):
    assert Settings().chatstore.server.chat_start_seconds == 15
    sessions = module_database.chat_sessions
    ended = start(app, tenant, client_request_id="r")["chat_id"]
    sessions.update_one({"chat_id": ended}, {"$set": {"status": 1}})
    old = start(app, tenant, client_request_id="r2")["chat_id"]
    assert old != ended
    now = datetime.now(UTC)
    sessions.update_one({"chat_id": ended}, {"$set": {"created_at": now - timedelta(hours=1)}})
    sessions.update_one({"chat_id": old}, {"$set": {"created_at": now - timedelta(seconds=60)}})
    assert start(app, tenant)["chat_id"] == old
    sessions.update_one({"chat_id": old}, {"$set": {"created_at": now - timedelta(seconds=301)}})
    new = start(app, tenant)
    assert (new["reused"], new["chat_id"] in (old, ended)) == (False, False)
    # The same request gets its session however old it is, and whether or not it has ended.
    assert start(app, tenant, client_request_id="r2")["chat_id"] == old
    assert start(app, tenant, client_request_id="r")["chat_id"] == ended


def test_a_second_click_with_a_request_id_of_its_own_reuses_the_session(app, tenant):
    first, second = (start(app, tenant, client_request_id=name) for name in ("r-1", "r-2"))
    assert (second["chat_id"], second["reused"]) == (first["chat_id"], True)


def test_a_deleted_session_stays_deleted_and_another_one_is_started(app, tenant, module_chatstore):
    deleted = [start(app, tenant)["chat_id"]]
    assert module_chatstore("sessions", "delete", deleted[0], "--yes").code == 0
    for _ in range(2):
        new = start(app, tenant)
        assert (new["chat_id"] in deleted, new["reused"]) == (False, False)
        deleted.append(new["chat_id"])
        assert module_chatstore("sessions", "delete", new["chat_id"], "--yes").code == 0


@pytest.mark.parametrize("bodies", [[{}, {}], [{"client_request_id": "a"}, {"client_request_id": "b"}]])
@pytest.mark.parametrize("has_earlier", [False, True])
def test_two_processes_that_find_nothing_to_reuse_at_once_start_one_session(
    app, module_database, tenant, tmp_path, bodies, has_earlier
):
    sessions = module_database.chat_sessions
    if has_earlier:
        earlier = datetime.now(UTC) - timedelta(minutes=10)
        chat = start(app, tenant)["chat_id"]
        sessions.update_one({"chat_id": chat}, {"$set": {"created_at": earlier}})
    with served(app.services.settings) as second:
        both = threading.Barrier(2, timeout=300)
        for server in (app, second):
            wait_after_reading(server, both)
        with ThreadPoolExecutor(2) as pool:
            answers = [
                *pool.map(lambda each: start(each[0], tenant, **each[1]), zip((app, second), bodies, strict=True))
            ]
    assert len({answer["chat_id"] for answer in answers}) == 1
    assert sorted(answer["reused"] for answer in answers) == [False, True]
    assert sessions.count_documents({"enterprise_id": tenant}) == 1 + has_earlier


def wait_after_reading(server: Served, both: threading.Barrier) -> None:
    """The next request of the server reads what there is to reuse, and then waits until another one has done so too."""
    created = server.services.platform._created
    newest = type(created).newest

    def read_and_wait(*arguments: Any) -> Any:
        del created.newest
        found = newest(created, *arguments)
        both.wait()
        return found

    created.newest = read_and_wait


def test_many_clicks_at_once_start_one_session(app, module_database, tenant):
    with ThreadPoolExecutor(16) as pool:
        answers = [*pool.map(lambda _: start(app, tenant), range(16))]
    assert len({answer["chat_id"] for answer in answers}) == 1
    assert [answer["reused"] for answer in answers].count(False) == 1
    assert module_database.chat_sessions.count_documents({"enterprise_id": tenant}) == 1


def test_a_prerequisite_that_is_not_met_is_409_and_nothing_is_stored(app, module_database, tenant):
    ASKED.clear()
    answer = app.client.post(f"/api/chats/{tenant}/investor/start", json={"user_id": "ana"})
    assert (answer.status_code, answer.json()) == (409, {"detail": "Finish the research first."})
    assert module_database.chat_sessions.count_documents({"enterprise_id": tenant}) == 0
    [asked] = ASKED
    assert (asked.app_id, asked.user_id, asked.workflow_name) == (tenant, "ana", "investor")


def test_a_session_that_is_reused_needs_no_prerequisite(app, tenant):
    start(app, tenant)
    ASKED.clear()
    assert start(app, tenant)["reused"]
    assert ASKED == []


def test_while_the_database_fails_the_start_fails_as_documented(app, module_database, tenant, fail_point):
    name = f"{module_database.name}.chat_sessions"
    with fail_point(["aggregate", "find"], errorCode=50, namespace=name):
        answer = app.client.post(f"/api/chats/{tenant}/wf/start", json={})
    expected = "Failed to start chat: The database did not answer in time. Try again later."
    assert (answer.status_code, answer.json()) == (503, {"detail": expected})
    with fail_point(["insert"], errorCode=8, namespace=name):
        answer = app.client.post(f"/api/chats/{tenant}/wf/start", json={})
    expected = "Failed to start chat: The request failed. The server's log has the reason."
    assert (answer.status_code, answer.json()) == (500, {"detail": expected})
    assert start(app, tenant)["reused"] is False


def test_the_address_of_the_socket_can_be_used_whatever_the_ids_are(app, tenant):
    answer = start(app, tenant, "my%20flow", user_id="a b/ü?#%")
    assert answer["workflow_name"] == "my flow"
    chat = answer["chat_id"]
    assert answer["websocket_url"] == f"/ws/my%20flow/{tenant}/{chat}/a%20b%2F%C3%BC%3F%23%25"
    mail = start(app, tenant, user_id="ana@x.org")
    assert mail["websocket_url"].endswith("/ana@x.org")


@pytest.mark.parametrize(
    "body",
    [
        {"user_id": {"$gt": ""}},
        {"user_id": ["ana"]},
        {"user_id": 7},
        {"client_request_id": {"$ne": None}},
        {"client_request_id": 1},
        {"force_new": "perhaps"},
        {"force_new": {"$gt": ""}},
        [],
        "text",
        7,
    ],
)
def test_a_body_of_wrong_types_is_422(app, module_database, tenant, body):
    answer = app.client.post(f"/api/chats/{tenant}/wf/start", json=body)
    assert answer.status_code == 422
    assert [*answer.json()] == ["detail"]
    assert module_database.chat_sessions.count_documents({"enterprise_id": tenant}) == 0


@pytest.mark.parametrize(
    "body", [b"{", b"\xff", b'{"user_id": "\\ud800"}', b'{"user_id": NaN}', b'{"a":' * 5_000 + b"1" + b"}" * 5_000]
)
def test_a_body_that_is_not_json_text_is_refused(app, tenant, body):
    headers = {"content-type": "application/json"}
    answer = app.client.post(f"/api/chats/{tenant}/wf/start", content=body, headers=headers)
    assert answer.status_code in (400, 422)
    assert [*answer.json()] == ["detail"]


def test_ids_that_look_like_operators_or_are_odd_are_only_text(app, module_database, tenant):
    for user in ("$gt", '{"$gt": ""}', "a.b", "a\0b", "65e1a0b2c3d4e5f601234567", "7"):
        assert start(app, tenant, user_id=user)["user_id"] == user
        assert start(app, tenant, user_id=user)["reused"] is True
    assert module_database.chat_sessions.count_documents({"enterprise_id": tenant}) == 6
    assert start(app, tenant, "%24where%00")["workflow_name"] == "$where\0"


@pytest.mark.parametrize("where", ["tenant", "workflow", "user_id", "client_request_id"])
def test_an_id_that_is_too_long_is_400(app, tenant, where):
    long = "x" * 10_000
    path = f"/api/chats/{long if where == 'tenant' else tenant}/{long if where == 'workflow' else 'wf'}/start"
    answer = app.client.post(path, json={where: long} if where.endswith("_id") else {})
    assert answer.status_code == 400
    assert answer.json()["detail"].endswith("an id of at most 1,000 characters.")
