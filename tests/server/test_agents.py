"""`/agents` and `/config/tools`, field by field, over a real module_database."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from bson import Int64, ObjectId

from chatstore_cli.mongo.agents import store as agent_store
from tests.support.served_app import served, settings_of
from tests.support.stored_agents import DELETED, DESK, FOREIGN, PLAIN, SECRET, store_agents

JSON = {"content-type": "application/json"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
NOWHERE = "f" * 24
FIELDS = ["id", "name", "description", "config", "createdAt", "updatedAt"]


def _issues(answer):
    """The text of an answer to an invalid request, and the path and message of each issue."""
    assert answer.status_code == 400
    body = answer.json()
    assert set(body) <= {"error", "issues", "example"}
    assert all(set(issue) == {"code", "path", "message"} for issue in body["issues"])
    return body["error"], [(issue["path"], issue["message"]) for issue in body["issues"]]


def test_an_agent_from_its_creation_to_its_deletion(emptied, module_database):
    client, config = emptied.client, {"engine": {"kind": "pipeline"}, "tools": ["*"]}
    created = client.post("/agents", json={"name": " Front\u00a0 desk\ufeff", "config": config})
    assert (created.status_code, list(created.json())) == (201, ["agent"])
    agent = created.json()["agent"]
    assert list(agent) == FIELDS
    assert (agent["name"], agent["description"], agent["config"]) == ("Front\u00a0 desk", None, config)
    assert TIME.fullmatch(agent["createdAt"])
    assert agent["updatedAt"] == agent["createdAt"]
    path = f"/agents/{agent['id']}"
    assert client.get(path).json() == {"agent": agent}
    assert client.put(path, json={}).json() == {"agent": agent}
    described = client.put(path, json={"description": "Answers"}).json()["agent"]
    assert described == agent | {"description": "Answers", "updatedAt": described["updatedAt"]}
    replaced = client.put(path, json={"name": "Desk", "description": None, "config": {"a": 1}}).json()["agent"]
    assert (replaced["name"], replaced["description"], replaced["config"]) == ("Desk", None, {"a": 1})
    assert client.put(path, json={"config": {}}).json()["agent"]["config"] == {}
    assert [each["id"] for each in client.get("/agents").json()["agents"]] == [agent["id"]]
    deleted = client.delete(path)
    assert (deleted.status_code, deleted.content) == (204, b"")
    for method, body in (("DELETE", None), ("GET", None), ("PUT", {"name": "x"}), ("PUT", {})):
        again = client.request(method, path, json=body)
        assert (again.status_code, again.json()) == (404, {"error": "Agent not found"})
    assert client.get("/agents").json() == {"agents": []}
    stored = module_database.agents.find_one()
    assert stored["deletedAt"] is not None
    assert len(stored["versions"]) == 4
    assert client.get("/config/tools").json() == client.get("/v1/config/tools").json()
    assert client.get("/config/tools").json()["tools"][0] == "get_weather"


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        ({}, ["name"], "name is required"),
        ({"name": ""}, ["name"], "name is required"),
        ({"name": " \u00a0"}, ["name"], "Agent name cannot be empty"),
        ({"name": "x" * 129}, ["name"], "name must be 128 characters or less"),
        ({"name": None}, ["name"], "Input should be a valid string"),
        ({"name": "a", "description": "x" * 2049}, ["description"], "description must be 2,048 characters or less"),
        ({"name": "a", "more": 1}, ["more"], "Extra inputs are not permitted"),
        ({"name": "a", "config": []}, ["config"], "Input should be an object"),
        ({"name": "a", "config": None}, ["config"], "Input should be an object"),
    ],
)
def test_an_invalid_agent_is_rejected_with_its_issues(off, body, path, message):
    text, issues = _issues(off.client.post("/agents", json=body))
    assert issues == [(path, message)]
    assert message in text
    assert not text.startswith("Value error")
    if body:
        text, issues = _issues(off.client.put(f"/agents/{NOWHERE}", json=body))
        assert issues == [(path, message)]


def test_several_issues_are_one_text(off):
    text, issues = _issues(off.client.post("/agents", json={"description": "x" * 2049, "config": 1}))
    assert text == "; ".join(
        (
            "name is required",
            "description must be 2,048 characters or less",
            "config: Input should be an object",
        )
    )
    assert [path for path, _ in issues] == [["name"], ["description"], ["config"]]


def _nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


UNSTORABLE = {
    "NaN": ('{"n": NaN}', 400),
    "an infinite number": ('{"n": [1e400]}', 400),
    "an integer beyond 64 bits": ('{"n": 18446744073709551616}', 400),
    "an integer of 5,000 digits": ('{"n": %s}' % ("9" * 5000), 400),
    "101 levels": (_nested(101), 400),
    "1,000 levels": (_nested(1000), 400),
    "100,000 levels": (_nested(100_000), 400),
    "a lone surrogate": ('{"n": "\\ud800"}', 400),
    "a key with a lone surrogate": ('{"\\ud800": 1}', 400),
    "a key with NUL": ('{"\\u0000": 1}', 400),
    "16 MB": ('{"n": "%s"}' % ("x" * 16_000_000), 413),
}


@pytest.fixture
def anything(emptied):
    """The server, whose answers to configurations are checked."""

    def post(text: str):
        return emptied.client.post("/agents", content=f'{{"name": "a", "config": {text}}}', headers=JSON)

    return post


def test_a_configuration_that_cannot_be_stored_is_rejected_as_a_whole(emptied, module_database, anything):
    for what, (text, status) in UNSTORABLE.items():
        answer = anything(text)
        assert (what, answer.status_code) == (what, status)
        assert answer.json()["error"]
        assert "internal" not in answer.json()["error"].lower()
    for body in (
        "{",
        "\udcff".encode("utf-8", "surrogateescape"),
        '{"name": "\\ud800"}',
        '{"name": "a", "\\ud800": 1}',
    ):
        assert emptied.client.post("/agents", content=body, headers=JSON).status_code == 400
    assert module_database.agents.count_documents({}) == 0


def test_any_other_json_object_is_stored_unchanged(emptied, module_database, anything):
    strange = {
        "a.b": 1,
        "$set": {"$where": None, "": [[], {}]},
        "__proto__": {"n": 1.0, "small": -(2**63), "large": 2**63 - 1, "e": 1e-300},
        "text": "NUL \0 and \U0001f600",
        "levels": json.loads(_nested(98)),
        "long": "x" * 900_000,
    }
    created = anything(json.dumps(strange))
    assert created.status_code == 201
    agent = created.json()["agent"]
    assert json.dumps(agent["config"]) == json.dumps(strange)
    assert emptied.client.get(f"/agents/{agent['id']}").json()["agent"]["config"] == strange
    assert module_database.agents.find_one()["config"]["$set"] == strange["$set"]
    changed = {"$unset": "a.b", "x.y": {"$set": 2}}
    assert emptied.client.put(f"/agents/{agent['id']}", json={"config": changed}).json()["agent"]["config"] == changed


def test_what_other_writers_have_stored_is_shown_as_json(emptied, module_database):
    values = {"nan": float("nan"), "inf": [float("-inf")], "n": Int64(5), "at": datetime(2026, 2, 1, tzinfo=UTC)}
    times = dict.fromkeys(("createdAt", "updatedAt"), datetime(2026, 2, 1, 9, tzinfo=UTC))
    module_database.Agent.insert_one({"name": "Old", "config": values, "deletedAt": None, "__v": 0, **times})
    [agent] = emptied.client.get("/agents").json()["agents"]
    assert agent["config"] == {"nan": None, "inf": [None], "n": 5, "at": "2026-02-01T00:00:00Z"} | {
        "at": agent["config"]["at"]
    }
    assert (agent["createdAt"], agent["description"]) == ("2026-02-01T09:00:00.000Z", None)
    emptied.client.put(f"/agents/{agent['id']}", json={"config": agent["config"] | {"new": 1}})
    assert module_database.Agent.find_one()["config"]["n"] == Int64(5)
    assert isinstance(module_database.Agent.find_one()["config"]["at"], datetime)


def test_secrets_are_masked_in_every_answer_and_a_mask_keeps_the_stored_value(emptied, module_database):
    store_agents(module_database)
    stored = module_database.lk_agent_configs.find_one({"_id": ObjectId(DESK)})["config"]
    path = f"/agents/{DESK}"
    shown = emptied.client.get(path).json()["agent"]["config"]
    assert shown["avatar"]["api_key"] == "********"
    answers = [
        emptied.client.get("/agents"),
        emptied.client.put(path, json={"config": shown | {"greeting": "Hello"}}),
        emptied.client.post("/agents", json={"name": "Copy", "config": {"openai_key": SECRET}}),
        emptied.client.get("/v1/agents"),
        emptied.client.get(f"/v1{path}"),
        emptied.client.get(f"/v1{path}/versions"),
        emptied.client.put(f"/v1{path}", json={"config": shown | {"greeting": "Bye"}}),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 201, 200, 200, 200, 200]
    assert not [answer.url for answer in answers if SECRET in answer.text or "sk-old" in answer.text]
    now = module_database.lk_agent_configs.find_one({"_id": ObjectId(DESK)})["config"]
    assert now == stored | {"greeting": "Bye"}
    moved = emptied.client.put(path, json={"config": {"elsewhere": "********"}})
    assert moved.status_code == 400
    assert moved.json()["error"].startswith("config.elsewhere: the value is the mask")


@pytest.mark.parametrize("agent_id", ["x", "g" * 24, "a" * 23, "x" * 10_000, "a%00" + "b" * 22, "%24ne", "..%5c"])
def test_what_is_not_an_id_is_rejected(emptied, agent_id):
    for method, path in (("GET", ""), ("PUT", ""), ("DELETE", ""), ("GET", "/versions")):
        base = "/v1/agents" if path else "/agents"
        answer = emptied.client.request(
            method, f"{base}/{agent_id}{path}", json={"name": "a"} if method == "PUT" else None
        )
        assert (answer.status_code, answer.json()) == (400, {"error": "agentId must be a valid Mongo ObjectId"})


def test_an_unknown_path_is_named(off):
    for path in ("/agents/a/b", "/v1/agents/a/shares", "/v1", "/config", "/session/x"):
        answer = off.client.get(path)
        assert (answer.status_code, answer.json()) == (404, {"error": "Not found", "path": path})


def test_pages_have_the_platforms_limits_and_no_agent_twice(emptied, module_database):
    at = datetime(2026, 2, 1, tzinfo=UTC)
    rows = [
        {
            "name": f"{n}",
            "config": {},
            "deletedAt": None,
            "createdAt": at,
            "updatedAt": at.replace(minute=n % 50),
            "__v": 0,
        }
        for n in range(450)
    ]
    rows += [{"agent_id": "b" * 24, "agent_name": "lyzr"}]
    module_database.Agent.insert_many(rows)
    get = emptied.client.get

    def ids(query: str) -> list[str]:
        return [agent["id"] for agent in get(f"/agents{query}").json()["agents"]]

    assert [len(ids(query)) for query in ("", "?limit=0", "?limit=-5", "?limit=1000", "?limit=7.9")] == [
        50,
        1,
        1,
        200,
        7,
    ]
    for query in (
        "?limit=abc",
        "?limit=",
        "?limit=NaN",
        "?limit=1e999",
        "?offset=abc",
        "?offset=-1",
        "?limit=1&limit=50",
    ):
        assert ids(query) == ids("")
    everything = [*ids("?limit=200"), *ids("?limit=200&offset=200"), *ids("?limit=200&offset=400")]
    assert len(everything) == len(set(everything)) == 451
    times = [
        agent["updatedAt"]
        for offset in (0, 200, 400)
        for agent in get(f"/agents?limit=200&offset={offset}").json()["agents"]
    ]
    assert times[:-1] == sorted(times[:-1], reverse=True)
    assert ids("?offset=13&limit=3") == everything[13:16]
    assert ids("?offset=450") == everything[450:]
    assert ids("?offset=451") == ids("?offset=1e300") == []


def test_a_key_of_tenants_sees_their_agents_only(server, database):
    store_agents(database)
    acme, both, other = server.key("acme"), server.key("acme", "globex"), server.key("nobody")
    get = server.client.get

    def ids(headers, query=""):
        return [agent["id"] for agent in get(f"/agents{query}", headers=headers).json()["agents"]]

    assert ids(acme) == [DESK, PLAIN]
    assert ids(both) == [DESK, PLAIN, FOREIGN]
    assert [*ids(both, "?limit=1"), *ids(both, "?limit=2&offset=1"), *ids(both, "?offset=3")] == [DESK, PLAIN, FOREIGN]
    assert ids(other) == []
    missing = {"error": "Agent not found"}
    change = {"name": "Stolen", "config": {}}
    for agent_id in (FOREIGN, NOWHERE, DELETED):
        path, later = f"/agents/{agent_id}", f"/v1/agents/{agent_id}"
        answers = [
            get(path, headers=acme),
            server.client.put(path, json={}, headers=acme),
            server.client.put(path, json=change, headers=acme),
            server.client.delete(path, headers=acme),
            get(later, headers=acme),
            server.client.put(later, json={"config": {"agent_name": "Stolen"}}, headers=acme),
            server.client.delete(later, headers=acme),
            get(f"{later}/versions", headers=acme),
        ]
        assert [(each.status_code, each.json()) for each in answers] == [(404, missing)] * 8
    assert get(f"/agents/{FOREIGN}", headers=both).json()["agent"]["name"] == "Of globex"
    created = server.client.post("/agents", json={"name": "New"}, headers=acme).json()["agent"]["id"]
    assert database.lk_agent_configs.find_one({"_id": ObjectId(created)})["orgId"] == "acme"
    assert server.client.post("/agents", json={"name": "New"}, headers=both).status_code == 403


def test_reading_and_writing_need_their_rights(server):
    from chatstore_cli.domain.api_keys import Right

    reader = server.key(right=Right.READ)
    assert server.client.get("/agents").status_code == 401
    assert server.client.get("/agents", headers=reader).status_code == 200
    for method, path in (("POST", "/agents"), ("PUT", f"/v1/agents/{NOWHERE}"), ("DELETE", f"/agents/{NOWHERE}")):
        refused = server.client.request(method, path, headers=reader, json={"name": "a", "config": {"agent_name": "a"}})
        assert refused.status_code in (400, 403)
        assert list(refused.json()) in (["error"], ["error", "issues"])
    assert server.client.delete(f"/agents/{NOWHERE}", headers=reader).status_code == 403


def test_two_servers_that_change_an_agent_at_the_same_time_lose_nothing(
    emptied, tmp_path, mongo_uri, module_database, monkeypatch
):
    path = f"/agents/{emptied.client.post('/agents', json={'name': 'a', 'config': {'n': 0}}).json()['agent']['id']}"
    with served(settings_of(tmp_path / "second", mongo_uri, module_database.name)) as second:
        others = [second.client]
        compute = agent_store.update_to

        def after_another_writer(*arguments, **named):
            if others:  # this server has read the agent, and has not written it yet
                others.pop().put(path, json={"config": {"n": 2}})
            return compute(*arguments, **named)

        monkeypatch.setattr(agent_store, "update_to", after_another_writer)
        assert emptied.client.put(path, json={"config": {"n": 1}}).json()["agent"]["config"] == {"n": 1}
    versions = emptied.client.get(f"/v1{path}/versions").json()["versions"]
    assert [(each["config"]["n"], each["active"]) for each in versions] == [(1, True), (2, False), (0, False)]


def test_two_servers_that_create_agents_of_one_name_create_two(emptied, tmp_path, mongo_uri, module_database):
    with (
        served(settings_of(tmp_path / "second", mongo_uri, module_database.name)) as second,
        ThreadPoolExecutor(2) as threads,
    ):
        clients = [emptied.client, second.client]
        answers = list(threads.map(lambda client: client.post("/agents", json={"name": "Twin"}), clients))
    assert [answer.status_code for answer in answers] == [201, 201]
    assert len({answer.json()["agent"]["id"] for answer in answers}) == 2
    assert module_database.agents.count_documents({"name": "Twin"}) == 2


def test_the_deepest_document_of_another_writer_is_shown_changed_and_resolved(emptied, module_database):
    config, times = (
        json.loads(_nested(175)),
        dict.fromkeys(("createdAt", "updatedAt"), datetime(2026, 2, 1, tzinfo=UTC)),
    )
    deep = {"name": "Deep", "config": config, "deletedAt": None, **times}
    agent_id = module_database.Agent.insert_one(deep).inserted_id
    client = emptied.client
    assert client.get("/agents").json()["agents"][0]["config"] == config
    assert client.get(f"/v1/agents/{agent_id}/versions").json()["versions"][0]["config"] == config
    assert client.post("/session", json={"userIdentity": "ana", "agentId": str(agent_id)}).status_code == 200
    assert client.put(f"/agents/{agent_id}", json={"name": "Deeper"}).status_code == 200
    assert client.get(f"/agents/{agent_id}").json()["agent"]["name"] == "Deeper"


def test_an_agent_that_mongodb_cannot_store_with_a_version_stays_as_it_is(emptied, module_database):
    times = dict.fromkeys(("createdAt", "updatedAt"), datetime(2026, 2, 1, tzinfo=UTC))
    deep = {"name": "Deep", "config": json.loads(_nested(178)), "deletedAt": None, **times}
    agent_id = module_database.Agent.insert_one(deep).inserted_id
    answer = emptied.client.put(f"/agents/{agent_id}", json={"name": "Deeper"})
    assert answer.status_code == 413
    assert answer.json()["error"].startswith("MongoDB cannot store the agent")
    assert module_database.Agent.find_one() == deep | {"_id": agent_id}
