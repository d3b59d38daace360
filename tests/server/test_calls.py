"""Calls: `/session` and `/v1/sessions`, their rows, and the function that makes tokens and sends agents."""

from __future__ import annotations

import asyncio
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from chatstore_cli.domain.errors import BadConfig
from chatstore_cli.server.routes import calls
from chatstore_cli.server.turns.dispatch import Dispatch
from tests.support.served_app import served, settings_of
from tests.support.stored_agents import DELETED, DESK, FOREIGN, SECRET, store_agents

FIELDS = ["userToken", "roomName", "livekitUrl", "agentDispatched", "agentConfig"]
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NOWHERE = "f" * 24
SENT = {"userToken": "t", "livekitUrl": "wss://rooms.example"}


class Hook:
    """A dispatch function that keeps what it was asked, and answers with `answer`, or raises it."""

    def __init__(self, answer=None):
        self.answer, self.requests = answer or SENT, []

    def __call__(self, request):
        self.requests.append(request)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.fixture
def hooked(emptied, monkeypatch):
    """`hooked(function)` makes a function the dispatch function of the server."""

    def use(function, seconds=5.0):
        monkeypatch.setattr(emptied.services, "dispatch", Dispatch(function, seconds))
        return function

    return use


def _start(server, path="/session", *, headers=None, **body):
    return server.client.post(path, json={"userIdentity": "ana"} | body, headers=headers)


def test_a_call_from_its_start_to_its_end_without_a_dispatch_function(emptied, module_database):
    answer = _start(emptied, roomName="room-1", agentConfig={"engine": {"kind": "pipeline"}, "tools": ["all", "x"]})
    assert answer.status_code == 200
    body = answer.json()
    assert list(body) == FIELDS
    assert (body["userToken"], body["livekitUrl"], body["agentDispatched"]) == (None, None, False)
    assert body["roomName"] == "room-1"
    assert list(body["agentConfig"]) == ["engine", "tools"]
    assert body["agentConfig"]["engine"] == {"kind": "pipeline"}
    assert body["agentConfig"]["tools"] == [
        "get_weather",
        "search_wikipedia",
        "add_note",
        "list_notes",
        "call_sub_agent",
    ]
    row = module_database.call_sessions.find_one()
    assert (row["room"], row["user_identity"], row["open"], row["ended_at"]) == ("room-1", "ana", True, None)
    assert UUID.fullmatch(row["_id"])
    for _ in range(2):  # an ended call stays as it is
        ended = emptied.client.post("/session/end", json={"roomName": "room-1"})
        assert (ended.status_code, ended.content) == (204, b"")
    row = module_database.call_sessions.find_one()
    assert (row["open"], row["ended_at"] is None) == (False, False)
    missing = emptied.client.post("/session/end", json={"roomName": "other"})
    assert (missing.status_code, missing.json()) == (404, {"error": "Session not found for room"})


def test_the_later_version_has_the_id_of_the_call(emptied, module_database):
    body = _start(emptied, "/v1/sessions/start", roomName="").json()
    assert list(body) == ["userToken", "roomName", "sessionId", *FIELDS[2:]]
    assert UUID.fullmatch(body["roomName"].removeprefix("room-"))
    assert module_database.call_sessions.find_one()["_id"] == body["sessionId"]
    end = "/v1/sessions/end"
    assert emptied.client.post(end, json={"sessionId": body["sessionId"]}).status_code == 204
    assert module_database.call_sessions.find_one()["open"] is False
    again = _start(emptied, "/v1/sessions/start").json()
    assert emptied.client.post(end, json={"roomName": again["roomName"]}).status_code == 204
    for given, what in (({"sessionId": NOWHERE}, "sessionId"), ({"roomName": "x"}, "room")):
        missing = emptied.client.post(end, json=given)
        assert (missing.status_code, missing.json()) == (404, {"error": f"Session not found for {what}"})
    for given in ({}, {"roomName": "", "sessionId": ""}, {"roomName": "a", "sessionId": "b"}):
        invalid = emptied.client.post(end, json=given)
        assert (invalid.status_code, invalid.json()) == (400, {"error": "Either roomName or sessionId is required"})
    for given in ({"sessionId": "\0"}, {"roomName": "x" * 5000}):
        assert emptied.client.post(end, json=given).status_code == 400


@pytest.mark.parametrize(
    ("given", "path", "message"),
    [
        ({"userIdentity": ""}, "userIdentity", "userIdentity cannot be empty"),
        ({"userIdentity": "x" * 129}, "userIdentity", "userIdentity must be 128 characters or less"),
        (
            {"userIdentity": "a b"},
            "userIdentity",
            "userIdentity can only contain letters, numbers, underscores, and hyphens",
        ),
        (
            {"userIdentity": "\u0663"},
            "userIdentity",
            "userIdentity can only contain letters, numbers, underscores, and hyphens",
        ),
        ({"userIdentity": None}, "userIdentity", "Input should be a valid string"),
        ({"roomName": "a/b"}, "roomName", "roomName can only contain letters, numbers, underscores, and hyphens"),
        ({"roomName": "x" * 129}, "roomName", "roomName must be 128 characters or less"),
        ({"agentId": "x"}, "agentId", "agentId must be a valid Mongo ObjectId"),
        ({"agentConfig": []}, "agentConfig", "Input should be an object"),
    ],
)
def test_an_invalid_start_is_rejected_with_its_issue_and_an_example(off, given, path, message):
    for route in ("/session", "/v1/sessions/start"):
        answer = _start(off, route, **given)
        body = answer.json()
        assert (answer.status_code, list(body)) == (400, ["error", "issues", "example"])
        assert body["error"].endswith(message)
        assert [(issue["path"], issue["message"]) for issue in body["issues"]] == [([path], message)]
        assert body["example"]["userIdentity"]
    missing = off.client.post("/session", json={})
    assert missing.json()["error"] == "userIdentity is required"
    without_room = off.client.post("/session/end", json={"roomName": ""})
    assert (without_room.status_code, without_room.json()["error"]) == (400, "roomName is required")


def test_the_example_of_an_invalid_start_is_valid(emptied):
    example = emptied.client.post("/session", json={}).json()["example"]
    assert emptied.client.post("/session", json=example).status_code == 200


def test_only_the_dispatch_function_gets_the_resolved_configuration(emptied, module_database, hooked):
    store_agents(module_database)
    hook = hooked(Hook())
    overrides = {"engine": {"llm": {"api_key": SECRET}}, "knowledge_base": {"enabled": True, "lyzr_rag": {"id": 1}}}
    body = _start(emptied, roomName="r", agentId=DESK, agentConfig=overrides)
    assert body.json() == SENT | {
        "roomName": "r",
        "agentDispatched": True,
        "agentConfig": {
            "engine": {"kind": "pipeline", "llm": {"api_key": "********"}, "turns": 5, "rate": "0.10"},
            "tools": ["get_weather", "search_knowledge_base"],
        },
    }
    assert SECRET not in body.text
    later = _start(emptied, "/v1/sessions/start", roomName="r2", agentId=DESK, agentConfig=overrides).json()
    first, second = hook.requests
    row = module_database.call_sessions.find_one({"room": "r"})
    assert (first.room, first.session_id, first.user_identity) == ("r", row["_id"], "ana")
    assert (first.agent_id, first.tenant_id) == (row["agent_id"], row["tenant_id"]) == (DESK, "acme")
    assert first.config["engine"]["llm"] == {"api_key": SECRET}
    assert first.config["avatar"]["api_key"] == SECRET
    assert (first.config["user_id"], first.config["session_id"], "agent_id" in first.config) == ("ana", "r", False)
    assert (first.config["lyzr_rag"], first.config["agentic_rag"]) == ({"id": 1}, [])
    assert (second.config["session_id"], second.config["agent_id"]) == (later["sessionId"], DESK)
    assert "lyzr_rag" not in second.config
    assert SECRET not in repr(first)


def test_an_agent_that_is_missing_starts_no_call(emptied, module_database, hooked):
    store_agents(module_database)
    hook = hooked(Hook())
    for agent_id in (NOWHERE, DELETED):
        answer = _start(emptied, agentId=agent_id)
        assert (answer.status_code, answer.json()) == (404, {"error": "Agent not found"})
    assert module_database.call_sessions.count_documents({}) == 0
    assert hook.requests == []


class _Broken(dict):
    def get(self, *_):
        raise SystemError("broken")


FAILING = {
    "raises": RuntimeError(f"{SECRET} is wrong"),
    "ends the process": SystemExit(3),
    "is interrupted": KeyboardInterrupt(),
    "is cancelled": asyncio.CancelledError(),
    "stops an iteration": StopIteration(1),
    "text": "token",
    "list": [("userToken", "t")],
    "token is no text": {"userToken": {"jwt": "t"}},
    "token is bytes": {"userToken": b"t"},
    "URL is no text": {"livekitUrl": 1},
    "lone surrogate": {"userToken": "\ud800"},
    "flag is no flag": {"agentDispatched": "no"},
    "broken dictionary": _Broken(),
    "none": None,
}


@pytest.mark.parametrize("is_coroutine", [False, True], ids=["function", "coroutine"])
@pytest.mark.parametrize("what", FAILING)
def test_whatever_the_function_does_the_call_ends_and_the_server_goes_on(
    emptied, module_database, hooked, caplog, what, is_coroutine
):
    answer = FAILING[what]

    def plain(_):
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def coroutine(request):
        return plain(request)

    hooked(coroutine if is_coroutine else plain)
    failed = _start(emptied, roomName="r")
    assert (failed.status_code, failed.json()) == (502, {"error": "Failed to dispatch agent"})
    row = module_database.call_sessions.find_one()
    assert (row["open"], row["close_reason"]) == (False, "dispatch failed")
    assert "The dispatch function failed for the call" in caplog.text
    assert SECRET not in caplog.text
    assert emptied.client.get("/health").status_code == 200
    hooked(Hook())
    assert _start(emptied, roomName="r").status_code == 200


def test_a_function_that_hangs_ends_in_502(emptied, module_database, hooked):
    release = threading.Event()

    async def for_ever(_):
        await asyncio.Event().wait()

    def later(_):
        return asyncio.sleep(3600)

    for function in (lambda _: release.wait(), for_ever, later):
        hooked(function, 0.05)
        failed = _start(emptied)
        assert (failed.status_code, failed.json()) == (502, {"error": "Failed to dispatch agent"})
    release.set()
    assert module_database.call_sessions.count_documents({"open": True}) == 0


def test_a_function_may_send_no_agent_and_may_be_a_coroutine(emptied, hooked):
    async def token_alone(_):
        return {"userToken": "t", "agentDispatched": False}

    hooked(token_alone)
    body = _start(emptied).json()
    assert (body["userToken"], body["livekitUrl"], body["agentDispatched"]) == ("t", None, False)


def test_a_function_is_named_in_the_settings(tmp_path):
    with served(settings_of(tmp_path, dispatch="tests.server.test_calls:Hook")) as server:
        assert server.client.get("/health").status_code == 200
    for name, why in (("tests.missing:x", "cannot be imported"), ("tests.server.test_calls:SENT", "is not a function")):
        with pytest.raises(BadConfig, match=why):
            Dispatch.named(name, 1)


def test_a_room_belongs_to_the_user_who_came_first_and_may_come_back(emptied, module_database):
    rows = module_database.call_sessions
    assert _start(emptied, roomName="r").status_code == 200
    taken = _start(emptied, roomName="r", userIdentity="tomasz")
    assert taken.status_code == 409
    assert taken.json()["error"].startswith("Room 'r' has an open call")
    assert rows.count_documents({}) == 1
    assert _start(emptied, roomName="r").status_code == 200
    assert [(row["open"], row["close_reason"]) for row in rows.find().sort("started_at", 1)] == [
        (False, "replaced"),
        (True, None),
    ]
    emptied.client.post("/session/end", json={"roomName": "r"})
    assert _start(emptied, roomName="r", userIdentity="tomasz").status_code == 200


def test_two_servers_that_start_calls_in_one_room_have_one_open_call(emptied, tmp_path, mongo_uri, module_database):
    with (
        served(settings_of(tmp_path / "second", mongo_uri, module_database.name)) as second,
        ThreadPoolExecutor(8) as pool,
    ):
        clients = [emptied, second] * 8
        answers = list(pool.map(lambda at: _start(clients[at], roomName="r", userIdentity=f"u{at}"), range(16)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 15
    assert module_database.call_sessions.count_documents({"room": "r", "open": True}) == 1


def test_tenants_have_rooms_of_their_own_and_learn_nothing_of_each_other(server, database):
    store_agents(database)
    acme, globex, both = server.key("acme"), server.key("globex"), server.key("acme", "globex")
    first = _start(server, roomName="r", headers=acme).json()
    second = _start(server, roomName="r", headers=globex).json()
    assert len({first["roomName"], second["roomName"], "r"}) == 3
    assert {row["room"]: row["tenant_id"] for row in database.call_sessions.find()} == {
        first["roomName"]: "acme",
        second["roomName"]: "globex",
    }
    taken = _start(server, roomName="r", userIdentity="tomasz", headers=acme)
    assert taken.status_code == 409
    again = _start(server, roomName=first["roomName"], headers=acme).json()  # the client repeats the name it got
    assert again["roomName"] == first["roomName"]
    later = _start(server, "/v1/sessions/start", roomName="r2", headers=globex).json()
    end = server.client.post
    for given in ({"roomName": later["roomName"]}, {"roomName": "r2"}, {"sessionId": later["sessionId"]}):
        what = "room" if "roomName" in given else "sessionId"
        missing = end("/v1/sessions/end", json=given, headers=acme)
        assert (missing.status_code, missing.json()) == (404, {"error": f"Session not found for {what}"})
    assert _start(server, agentId=FOREIGN, headers=acme).json() == {"error": "Agent not found"}
    assert _start(server, headers=both).status_code == 403
    assert end("/session/end", json={"roomName": "r"}, headers=acme).status_code == 204
    assert database.call_sessions.count_documents({"tenant_id": "globex", "open": True}) == 2
    # A key of both ends the call that is open, and not the one of acme, which has ended.
    assert end("/session/end", json={"roomName": "r"}, headers=both).status_code == 204
    assert database.call_sessions.count_documents({"room": second["roomName"], "open": True}) == 0
    assert end("/v1/sessions/end", json={"sessionId": later["sessionId"]}, headers=both).status_code == 204
    assert database.call_sessions.count_documents({"open": True}) == 0


def test_the_rooms_of_tenants_are_names_and_differ():
    longest, tenants = "x" * 128, ("acme", "globex", "a" * 500, "ü")
    rooms = [calls.room_of(tenant, name) for tenant in tenants for name in ("r", longest, "x" * 127)]
    assert len(set(rooms)) == len(rooms)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,128}", room) for room in rooms)
    assert [calls.room_of(tenant, room) for tenant, room in zip(tenants, rooms[::3], strict=True)] == rooms[::3]
    assert calls.room_of("globex", calls.room_of("acme", "r")) != calls.room_of("acme", "r")
