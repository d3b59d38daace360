"""A key of one tenant learns nothing of another tenant, by any route or socket, and changes nothing of it."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

from chatstore_cli.core.labels.labelled import MOST_TAGGED
from chatstore_cli.core.sessions.message_place import MessagePlace
from chatstore_cli.domain.api_keys import Right
from chatstore_cli.mongo.search import text_index
from chatstore_cli.server.app import ROUTERS
from tests.support.two_tenants import OTHER, OTHER_TEXT, OWN, REQUEST, ROOM, Ids, comparable, two_worlds

ABSENT = Ids(
    "absent",
    "nobody",
    "00000000-0000-4000-8000-000000000001",
    "generalchat-absent-nobody-0001",
    "0123456789abcdef01234567",
    "00000000-0000-4000-8000-000000000002",
    "0123456789abcdef01234568",
    "+4930333333",
    "00000000-0000-4000-8000-000000000003",
    "room-absent",
)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory, mongod, mongo_client, module_database):
    alone = mongo_client[f"{module_database.name}_alone"]
    folder = tmp_path_factory.mktemp("tenants")
    with two_worlds(folder, mongod.uri, mongo_client, module_database, alone) as found:
        yield found
    mongo_client.drop_database(alone.name)


Case = tuple[str, Any]
"""A path with its query, and the body."""


def cases(own: Ids, other: Ids) -> dict[str, list[Case]]:
    """For each route, requests of the tenant `own` with ids of `other`."""
    chats = [(other.tenant, other.chat), (own.tenant, other.chat), (own.tenant, own.chat)]
    users = [(other.tenant, other.user), (own.tenant, other.user), (other.tenant, own.user), (own.tenant, own.user)]
    generals = [(other.tenant, other.general), (own.tenant, other.general), (own.tenant, own.general)]
    agents = [other.agent, own.agent]
    agent_names = [{"name": "Reception"}, {"name": ""}, {"name": "x" * 200}, {}]
    later = [{"config": {"agent_name": "Reception"}}, {"config": {}}]
    filters = ["", f"tenant={other.tenant}", f"tenant={own.tenant}", f"user={other.user}", "layout=messages"]
    filters += ["layout=workflow", "layout=general", "workflow=research", "since=1d", f"session={other.chat}"]
    filters += [f"session={other.general}", "limit=1", f"tenant={other.tenant}&user={other.user}"]
    searches = [f"text=refund&{each}" for each in filters] + [f"text={other.tenant}", "text=of&substring=true"]
    by = ["tenant", "user", "workflow", "model", "day", "agent", "layout", "session", "tenant,user"]
    rooms = [other.room, f"{other.room}-x", "room-unknown"]
    calls = [{"userIdentity": own.user, "roomName": room} for room in (ROOM, other.room, f"{ROOM}-2")]
    calls += [{"userIdentity": other.user, "agentId": other.agent}, {"userIdentity": other.user, "roomName": ROOM}]
    ends = [{"roomName": room} for room in rooms] + [{"roomName": ROOM}]
    ends_later = [{"sessionId": other.call}, *ends]
    connections = [
        {"e164": number, "agentId": agent}
        for number in (other.number, "+4930444444", own.number, "x")
        for agent in (other.agent, own.agent, None)
    ]
    inputs = [{"message": "hello"}, {"message": " "}, {"message": "hello", "workflow_name": "research"}]
    found: dict[str, list[Case]] = {
        "GET /": [("/", None)],
        "GET /health": [],  # the uptime differs
        "GET /healthz": [("/healthz", None)],
        "GET /readyz": [("/readyz", None)],
        "GET /metrics": [("/metrics", None)],
        "POST /api/chat": [("/api/chat", {"message": "hello", "session_id": other.chat})],
        "GET /api/chat/history": [(f"/api/chat/history?session_id={each}", None) for each in (other.chat, own.chat)],
        "GET /api/conversation/history/{session_id:path}": [(f"/api/conversation/history/{other.chat}", None)],
        "GET /api/storage/status": [("/api/storage/status", None)],
        "POST /api/chats/{app_id}/{workflow_name}/start": [
            (f"/api/chats/{tenant}/{workflow}/start", {"user_id": user, "client_request_id": request})
            for tenant in (other.tenant, own.tenant)
            for workflow in ("research", "unknown")
            for user in (other.user, own.user)
            for request in ("r", other.chat)
        ],
        "GET /api/chats/{app_id}/{workflow_name}": [
            (f"/api/chats/{tenant}/{workflow}", None)
            for tenant in (other.tenant, own.tenant)
            for workflow in ("research", "unknown")
        ],
        "GET /api/chats/exists/{app_id}/{workflow_name}/{chat_id:path}": [
            (f"/api/chats/exists/{tenant}/research/{chat}", None) for tenant, chat in chats
        ],
        "GET /api/chats/meta/{app_id}/{workflow_name}/{chat_id:path}": [
            (f"/api/chats/meta/{tenant}/research/{chat}", None) for tenant, chat in chats
        ],
        "GET /api/sessions/list/{app_id}/{user_id:path}": [(f"/api/sessions/list/{a}/{u}", None) for a, u in users],
        "GET /api/sessions/recent/{app_id}/{user_id:path}": [(f"/api/sessions/recent/{a}/{u}", None) for a, u in users],
        "GET /api/general_chats/list/{app_id}/{user_id:path}": [
            (f"/api/general_chats/list/{a}/{u}", None) for a, u in users
        ],
        "GET /api/general_chats/transcript/{app_id}/{general_chat_id:path}": [
            (f"/api/general_chats/transcript/{a}/{chat}?after_sequence={after}", None)
            for a, chat in generals
            for after in (-1, 0, 99)
        ],
        "POST /chat/{app_id}/{chat_id}/{user_id:path}/input": [
            (f"/chat/{tenant}/{chat}/{user}/input", body)
            for tenant, chat in chats[:2]
            for user in (other.user, own.user)
            for body in inputs
        ],
        "POST /api/user-input/submit": [
            ("/api/user-input/submit", {"input_request_id": "input-2", "user_input": "yes"}),
            ("/api/user-input/submit", {"input_request_id": REQUEST, "user_input": " "}),
        ],
        "GET /store/sessions": [(f"/store/sessions?{each}", None) for each in filters],
        "GET /store/sessions/{session_id:path}": [
            (f"/store/sessions/{each}{query}", None)
            for each in (other.chat, other.general, other.chat[:-1], other.call, own.chat, own.general)
            for query in ("", "?layout=workflow", "?layout=general", "?layout=messages")
        ],
        "GET /store/sessions/{session_id:path}/messages": [
            (f"/store/sessions/{each}/messages{query}", None)
            for each in (other.chat, other.general, other.chat[:-1], own.chat)
            for query in ("", "?layout=workflow", "?after_sequence=0")
        ],
        "GET /store/session": [
            (f"/store/session?id={each}{query}", None)
            for each in (other.chat, other.general, own.chat)
            for query in ("", "&layout=workflow", "&layout=general")
        ],
        "GET /store/session/messages": [
            (f"/store/session/messages?id={each}", None) for each in (other.chat, other.general, own.chat)
        ],
        "GET /store/search": [(f"/store/search?{each}", None) for each in searches],
        "GET /store/usage": [
            *((f"/store/usage?by={each}&{query}", None) for each in by for query in ("", f"tenant={other.tenant}")),
            *(
                (f"/store/usage?{each}", None)
                for each in (f"tenant={own.tenant}", f"user={other.user}", "layout=workflow")
            ),
        ],
        "GET /store/status": [("/store/status", None)],
        "GET /store/events": [],  # endless: see test_events.py
    }
    for version in ("", "/v1"):
        bodies = later if version else agent_names
        found |= {
            f"GET {version}/config/tools": [(f"{version}/config/tools", None)],
            f"GET {version}/agents": [(f"{version}/agents{query}", None) for query in ("", "?limit=1", "?offset=1")],
            f"GET {version}/agents/{{agent_id}}": [(f"{version}/agents/{each}", None) for each in agents],
            f"PUT {version}/agents/{{agent_id}}": [
                (f"{version}/agents/{each}", body) for each in agents for body in bodies
            ],
            f"GET {version}/telephony/bindings": [(f"{version}/telephony/bindings", None)],
            f"POST {version}/telephony/providers/{{provider}}/numbers/{{number_id}}/connect": [
                (f"{version}/telephony/providers/telnyx/numbers/{number}/connect", body)
                for number in (f"n-{other.tenant}", "n-unknown")
                for body in connections
            ],
            f"POST {version}/agents": [(f"{version}/agents", body) for body in bodies],
            f"DELETE {version}/agents/{{agent_id}}": [(f"{version}/agents/{other.agent}", None)],
            f"DELETE {version}/telephony/bindings/{{binding_id}}": [
                (f"{version}/telephony/bindings/{each}", None) for each in (other.binding, other.number)
            ],
        }
    sessions = [
        f"id={each}&layout={layout}"
        for each, layout in ((other.chat, "workflow"), (other.general, "general"), (other.chat, "general"))
    ]
    found |= {f"HEAD {path}": [(path, None)] for path in ("/", "/health", "/healthz", "/readyz")}
    found |= {
        "GET /page/sessions": [(f"/page/sessions?{each}", None) for each in filters],
        "GET /page/search": [(f"/page/search?{each}", None) for each in searches[:6]],
        "GET /page/usage": [(f"/page/usage?{each}", None) for each in ("", f"tenant={other.tenant}", "by=user")],
        "GET /page/agents": [("/page/agents", None)],
        "GET /page/storage": [("/page/storage", None)],
        "GET /page/session": [(f"/page/session?{each}", None) for each in sessions]
        + [(f"/page/session?id={other.chat}&at={at}", None) for at in (1, "end")]
        + [(f"/page/session?{each}&before={MessagePlace(sequence=2).to_cursor()}", None) for each in sessions],
        "GET /page/session/copy": [(f"/page/session/copy?{each}&form=json", None) for each in sessions],
        "GET /page/session/message": [
            (f"/page/session/message?{each}&hit={MessagePlace(sequence=1).to_cursor()}", None) for each in sessions
        ],
        "GET /page/session/delete": [(f"/page/session/delete?{each}", None) for each in sessions],
        "POST /page/session/delete": [
            ("/page/session/delete", {"layout": layout, "id": each})
            for each, layout in ((other.chat, "workflow"), (other.general, "general"), (other.chat, "messages"))
        ],
        "GET /docs": [("/docs", None)],
        "GET /page/reference": [("/page/reference", None)],
        "GET /page/time-zone": [("/page/time-zone", None)],
        "GET /page/sign-in": [("/page/sign-in", None)],
        "POST /page/sign-in": [("/page/sign-in", {"key": "guess"})],
        "POST /page/sign-out": [("/page/sign-out", {})],
    }
    found |= {
        "GET /v1/agents/{agent_id}/versions": [(f"/v1/agents/{each}/versions", None) for each in agents],
        "POST /v1/agents/{agent_id}/versions/{version_id}/activate": [
            (f"/v1/agents/{agent}/versions/{version}/activate", None)
            for agent in agents
            for version in (other.version, "unknown")
        ],
        "POST /session": [("/session", body) for body in calls],
        "POST /v1/sessions/start": [("/v1/sessions/start", body) for body in calls],
        "POST /session/end": [("/session/end", body) for body in ends],
        "POST /v1/sessions/end": [("/v1/sessions/end", body) for body in ends_later],
    }
    return found


def every_route() -> set[str]:
    return {
        f"{method} {route.path}"
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, Route)
        for method in route.methods or ()
    }


ROUTES = sorted(every_route())


def requests_of(route: str, own: Ids, other: Ids) -> list[tuple[str, str, Any]]:
    method = route.partition(" ")[0]
    return [(method, path, body) for path, body in cases(own, other)[route]]


def test_every_route_has_a_case():
    assert set(cases(ABSENT, ABSENT)) == every_route()
    sockets = {route.path for router in ROUTERS for route in router.routes if isinstance(route, WebSocketRoute)}
    assert sockets == {"/ws/chat", "/ws/{workflow_name}/{app_id}/{chat_id}/{user_id:path}"}


@pytest.mark.parametrize("route", ROUTES)
def test_a_tenant_gets_the_answers_that_it_would_get_if_the_other_one_did_not_exist(worlds, route):
    before = worlds.of_other()
    assert len(before) >= 5
    keys = [server.key(OWN) for server in (worlds.shared, worlds.alone)]
    for method, path, body in requests_of(route, worlds.own, worlds.other):
        answers = [
            server.client.request(method, path, json=body, headers=key)
            for server, key in zip((worlds.shared, worlds.alone), keys, strict=True)
        ]
        shown = [(each.status_code, sorted(each.headers), comparable(each.text)) for each in answers]
        assert (method, path, body, shown[0]) == (method, path, body, shown[1])
        assert answers[0].status_code < 500
        sent = f"{path} {body}"
        for word in (OTHER_TEXT, "secret-of", worlds.other.chat, worlds.other.general, worlds.other.agent, OTHER):
            assert word not in answers[0].text or word in sent, (path, body, answers[0].text)
    assert worlds.of_other() == before


@pytest.mark.parametrize(
    "path", ["/store/sessions?tag=vip", "/store/search?text=refund&tag=vip", "/store/usage?by=session&tag=vip"]
)
def test_a_limit_on_tagged_sessions_does_not_count_those_of_other_tenants(worlds, path):
    """More than MOST_TAGGED sessions with a tag are too many, so the limit would tell that others have the tag."""
    other = [f"{OTHER}-{number}" for number in range(MOST_TAGGED + 1)]
    facts = {"enterprise_id": OTHER, "user_id": "bob", "workflow_name": "research", "status": 0, "messages": []}
    sessions = [{"_id": each, "chat_id": each, **facts} for each in other]
    labels = [
        {"_id": {"layout": "workflow", "session_id": each}, "tags": ["vip"]} for each in [*other, worlds.own.chat]
    ]
    stored = worlds.database
    try:
        stored.chat_sessions.insert_many(sessions)
        stored.chatstore_labels.insert_many(labels)
        own, of_other = (worlds.shared.client.get(path, headers=worlds.shared.key(each)) for each in (OWN, OTHER))
    finally:
        stored.chatstore_labels.delete_many({})
        stored.chat_sessions.delete_many({"_id": {"$in": other}})
    assert own.status_code == 200, own.text
    assert [each.get("session_id") for each in own.json()["items"]] == [worlds.own.chat]
    assert OTHER not in own.text
    if "usage" not in path:
        assert (of_other.status_code, "More than 1,000 sessions" in of_other.text) == (400, True)


def test_a_note_about_the_size_of_a_collection_is_for_keys_of_all_tenants(worlds, monkeypatch):
    monkeypatch.setattr(text_index, "_LARGE", 1)
    worlds.database.chat_threads.insert_one({"_id": "t-1", "user_id": "bob", "org_id": OTHER, "name": "t"})
    message = {"chat_thread_id": "t-1", "sender_id": "bob", "sender_role": "user", "content": {"text": OTHER_TEXT}}
    worlds.database.chat_thread_messages.insert_one({"_id": "t-1-1", **message})
    path = f"/store/search?text=refund&layout=threads&tenant={OTHER}"
    try:
        keys = [worlds.shared.key(), worlds.shared.key(OTHER)]
        notes = [worlds.shared.client.get(path, headers=key).json()["notes"] for key in keys]
    finally:
        worlds.database.chat_threads.delete_many({})
        worlds.database.chat_thread_messages.delete_many({})
    assert (["has no text index" in each for each in notes[0]], notes[1]) == ([True], [])


# --- sockets ---------------------------------------------------------------------------------------------------------


def frames_of(server, path: str, key: dict[str, str], sent: list[dict[str, Any]]) -> list[str]:
    """What the server sends, until the answer to the last frame, or until it closes the socket, in order of the text.

    Stored turns are sent beside the answers to frames, so their order differs between two runs.
    """
    frames: list[str] = []
    with server.socket(path, key) as socket:
        try:
            while True:
                frame = socket.receive_json()
                frames.append(comparable(str(frame)))
                if frame["type"] == "chat.resume_boundary":
                    break
            for each in [*sent, {"type": "ui_tool_response", "eventId": "end"}]:
                socket.send_json(each)
            while True:
                frame = socket.receive_json()
                if frame["type"] == "ack.ui_tool_response":
                    return sorted(frames)
                frames.append(comparable(str(frame)))
        except WebSocketDisconnect as closed:
            return [*sorted(frames), f"{closed.code} {closed.reason}"]


def test_a_socket_shows_only_the_tenant_and_reaches_only_its_sessions(worlds):
    own, other = worlds.own, worlds.other
    before = worlds.of_other()
    sent = [
        {"type": "client.resume", "chat_id": other.chat, "lastClientIndex": -1},
        {"type": "client.resume", "chat_id": other.chat, "lastSequence": 99},
        {"type": "client.resume", "chat_id": other.general, "lastSequence": 0},
        {"type": "chat.switch_workflow", "chat_id": other.chat},
        {"type": "chat.switch_workflow", "chat_id": other.general},
        {"type": "user.input.submit", "chat_id": other.chat, "text": "hello"},
        {"type": "user.input.submit", "chat_id": other.general, "text": "hello", "request_id": REQUEST},
        {"type": "chat.enter_general_mode"},
        {"type": "chat.switch_workflow", "chat_id": other.chat},
        {"type": "chat.start_general_chat"},
    ]
    places = [
        (app, chat, user)
        for app in (other.tenant, own.tenant)
        for chat in (other.chat, own.chat)
        for user in (other.user, own.user)
    ]
    for app, chat, user in places:
        for workflow in ("research", "unknown"):
            path = f"/ws/{workflow}/{app}/{chat}/{user}?session_key={workflow}-{chat}"  # each in a mode of its own
            both = [frames_of(server, path, server.key(OWN), sent) for server in (worlds.shared, worlds.alone)]
            assert both[0] == both[1], path
            assert OTHER_TEXT not in str(both[0])
            if app == other.tenant:
                assert both[0] == ["1008 Access denied"]
    assert worlds.of_other() == before
    for path in (f"/ws/chat?session_id={other.chat}", "/ws/chat"):
        both = [frames_of(server, path, server.key(OWN), []) for server in (worlds.shared, worlds.alone)]
        assert both[0] == both[1]
        assert both[0][0].startswith("1008")


def test_a_request_for_input_with_the_same_id_is_the_tenants_own(worlds):
    server, body = worlds.shared, {"input_request_id": REQUEST, "user_input": "yes"}
    before = worlds.of_other()
    for world in (worlds.shared, worlds.alone):  # both, so that they stay alike for the other tests
        for status in (200, 404):  # it is answered once
            answer = world.client.post("/api/user-input/submit", json=body, headers=world.key(OWN))
            assert answer.status_code == status
    assert worlds.of_other() == before
    answer = server.client.post("/api/user-input/submit", json=body, headers=server.key(OTHER))
    assert answer.status_code == 200
    assert worlds.of_other() != before


# --- rights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "route", [each for each in ROUTES if not each.startswith(("GET ", "HEAD ")) and "/page/sign-" not in each]
)
def test_the_right_to_read_changes_nothing_of_its_own_tenant(worlds, route):
    key = worlds.shared.key(OWN, right=Right.READ)
    before = snapshot(worlds.database)
    for method, path, body in requests_of(route, worlds.other, worlds.own):
        answer = worlds.shared.client.request(method, path, json=body, headers=key)
        assert (path, answer.status_code) == (path, 403)
    assert snapshot(worlds.database) == before


def snapshot(database) -> dict[str, list[str]]:
    return {
        name: sorted(map(repr, database[name].find()))
        for name in database.list_collection_names()
        if name != "chatstore_audit"
    }
