"""Every stored id can be asked for, and an id that cannot be stored is not found."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from starlette.routing import Route

from chatstore_cli.server.app import ROUTERS
from tests.support.served_app import served, settings_of

NOW = datetime(2026, 2, 1, tzinfo=UTC)
IDS = [
    "a/messages", "messages", "/messages", "/", "a/b", "a//b/", "..", ".", "../x", "a?b=c", "a#b", "a%2Fb", "a b+c&d", "é😀",
    "\u202e\x1b[2J", "x" * 1_000, "$where", "{'a': 1}", " a ",
]  # fmt: skip
ABSENT = ["\x00", "a\x00b", "\udc80", "x" * 9_999, "unknown"]


@pytest.fixture(scope="module")
def one_server(tmp_path_factory, mongod, module_database):
    """An application of this module without a limit on requests."""
    folder = tmp_path_factory.mktemp("server")
    with served(settings_of(folder, mongod.uri, module_database.name, requests_per_minute=0)) as server:
        server.wait_until_prepared()
        yield server


def store(database, session_id):
    database.chat_sessions.insert_one(
        {
            "_id": session_id, "chat_id": session_id, "enterprise_id": "acme", "user_id": session_id,
            "workflow_name": "w", "status": 0, "created_at": NOW, "updated_at": NOW, "last_updated_at": NOW,
            "messages": [{"role": "user", "content": "hello", "sequence": 1, "timestamp": NOW}],
        }
    )  # fmt: skip
    at = "2026-02-01T10:00:00.000000+00:00"
    database.chat_messages.insert_one(
        {
            "_id": f"m-{session_id}",
            "session_id": session_id,
            "role": "user",
            "text": "hello",
            "metadata": {},
            "sequence": 1,
        }
        | {"created_at": at}
    )
    database.GeneralChatSessions.insert_one(
        {
            "_id": session_id,
            "general_chat_id": session_id,
            "chat_id": session_id,
            "enterprise_id": "acme",
            "user_id": "ana",
        }
        | {"label": "General Chat #1", "sequence": 1, "status": 0, "created_at": NOW, "last_updated_at": NOW}
        | {"messages": [{"role": "user", "content": "hello", "sequence": 1, "timestamp": NOW}]}
    )
    database.chat_threads.insert_one(
        {"_id": session_id, "user_id": "ana", "org_id": "acme", "name": "t", "created_at": NOW, "updated_at": NOW}
    )


@pytest.mark.parametrize("session_id", IDS, ids=ascii)
def test_every_id_is_reached_by_the_query_in_every_layout(emptied, module_database, session_id):
    store(module_database, session_id)
    for layout in ("workflow", "messages", "general", "threads"):
        chosen = {"id": session_id, "layout": layout}
        shown = emptied.client.get("/store/session", params=chosen)
        assert (shown.status_code, shown.json().get("session_id")) == (200, session_id), (layout, shown.text)
        listed = emptied.client.get("/store/session/messages", params=chosen)
        assert len(listed.json()["items"]) == (0 if layout == "threads" else 1)


@pytest.mark.parametrize("session_id", [each for each in IDS if each.strip("./") and "%" not in each], ids=ascii)
def test_the_platforms_paths_reach_ids_with_any_character(emptied, module_database, session_id):
    """Clients resolve dots, and a path has no empty part. The client of these tests decodes a percent sign twice."""
    store(module_database, session_id)
    client, part = emptied.client, quote(session_id, safe="")
    assert client.get(f"/api/chats/exists/acme/w/{part}").json() == {"exists": True}
    assert client.get(f"/api/chats/meta/acme/w/{part}").json()["chat_id"] == session_id
    assert client.get(f"/api/sessions/list/acme/{part}").json()["count"] == 1
    assert client.get(f"/api/sessions/recent/acme/{part}").json()["chat_id"] == session_id
    transcript = client.get(f"/api/general_chats/transcript/acme/{part}")
    assert (transcript.status_code, transcript.json()["chat_id"]) == (200, session_id)
    history = client.get("/api/chat/history", params={"session_id": session_id}).json()
    assert [each["text"] for each in history["messages"]] == ["hello"]


@pytest.mark.parametrize("user", ["a/b", "a/input", "a?b", "a b", "é"])
def test_a_user_of_any_name_can_open_the_socket_of_a_started_session_and_write_to_it(emptied, user):
    started = emptied.client.post("/api/chats/acme/w/start", json={"user_id": user, "force_new": True}).json()
    with emptied.socket(started["websocket_url"]) as socket:
        assert socket.receive_json()["type"] == "chat_meta"
    path = f"/chat/acme/{started['chat_id']}/{quote(user, safe='')}/input"
    assert emptied.client.post(path, json={"message": "hello"}).status_code == 200


def test_an_id_that_no_client_could_send_is_refused_when_a_session_is_started(emptied):
    for path, user in (("/api/chats/acme/w/start", ".."), ("/api/chats/acme/%2E/start", "ana")):
        answer = emptied.client.post(path, json={"user_id": user})
        assert answer.status_code in (400, 404, 405), (path, answer.text)
    assert emptied.client.get("/api/sessions/list/acme/%2E%2E").json()["count"] == 0


def routes_with_ids() -> list[str]:
    """Method and path of each route with an id in its path."""
    routes = (route for router in ROUTERS for route in router.routes if isinstance(route, Route) and "{" in route.path)
    return sorted({f"{method} {route.path}" for route in routes for method in route.methods or ()})


@pytest.mark.parametrize("route", routes_with_ids())
def test_an_id_that_is_not_stored_is_never_a_failure(emptied, route):
    method, _, path = route.partition(" ")
    for each in [*ABSENT, *IDS]:
        encoded = quote(each.encode("utf-8", "surrogateescape"), safe="")
        filled = "/".join(encoded if part.startswith("{") else part for part in path.split("/"))
        answer = emptied.client.request(method, filled, json={})
        assert answer.status_code < 500, (method, filled, answer.text)


@pytest.mark.parametrize("name", ["/store/session", "/store/session/messages"])
def test_an_id_in_the_query_that_is_not_stored_is_not_found(emptied, name):
    for each in ABSENT:
        encoded = quote(each.encode("utf-8", "surrogateescape"), safe="")
        assert emptied.client.get(f"{name}?id={encoded}").status_code == 404
    assert emptied.client.get(f"{name}?id=").status_code == 422
    assert emptied.client.get(f"{name}?id={'x' * 10_001}").status_code == 422
