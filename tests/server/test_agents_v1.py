"""`/v1/agents` with its versions, field by field, over a real database."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from bson import ObjectId

from chatstore_cli.core.agents import versions as version_rules
from tests.support.stored_agents import ACTIVE, DESK, FOREIGN, OLD, PLAIN, store_agents

NOWHERE, NO_VERSION = "f" * 24, str(uuid.UUID(int=1))


def test_an_agent_has_its_name_in_its_configuration(emptied, module_database):
    client = emptied.client
    module_database.create_collection("lk_agent_configs")
    config = {"tools": ["x"], "agent_name": " Desk ", "agent_description": "Answers"}
    created = client.post("/v1/agents", json={"config": config})
    assert (created.status_code, list(created.json())) == (201, ["agent"])
    agent = created.json()["agent"]
    assert list(agent) == ["id", "config", "createdAt", "updatedAt"]
    assert agent["config"] == config | {"agent_name": "Desk"}
    path = f"/v1/agents/{agent['id']}"
    assert client.get(path).json() == {"agent": agent}
    assert client.get("/v1/agents").json() == {"agents": [agent]}
    first = client.get(path.removeprefix("/v1")).json()["agent"]
    assert (first["name"], first["description"]) == ("Desk", "Answers")
    replaced = client.put(path, json={"config": {"agent_name": "Front"}}).json()["agent"]
    assert replaced["config"] == {"agent_name": "Front"}
    assert client.get(path.removeprefix("/v1")).json()["agent"]["description"] is None
    stored = module_database.lk_agent_configs.find_one()
    assert stored["config"] == {"agent_name": "Front"}
    assert "name" not in stored
    assert client.delete(path).status_code == 204
    for answer in (client.get(path), client.delete(path), client.get(f"{path}/versions")):
        assert (answer.status_code, answer.json()) == (404, {"error": "Agent not found"})


def test_an_agent_of_the_first_version_is_shown_and_changed_in_the_later_one(emptied, module_database):
    agent = emptied.client.post("/agents", json={"name": "Old", "description": "d", "config": {"a": 1}}).json()["agent"]
    path = f"/v1/agents/{agent['id']}"
    assert emptied.client.get(path).json()["agent"]["config"] == {"a": 1, "agent_name": "Old", "agent_description": "d"}
    emptied.client.put(path, json={"config": {"agent_name": "New", "a": 2}})
    changed = emptied.client.get(f"/agents/{agent['id']}").json()["agent"]
    assert (changed["name"], changed["description"]) == ("New", None)
    assert changed["config"] == {"agent_name": "New", "a": 2}
    assert module_database.agents.find_one()["name"] == "New"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "config is required"),
        ({"config": None}, "config: Input should be an object"),
        ({"config": {}}, "config.agent_name is required"),
        ({"config": {"agent_name": ""}}, "config.agent_name is required"),
        ({"config": {"agent_name": " \t"}}, "config.agent_name is required"),
        ({"config": {"agent_name": None}}, "config.agent_name is required"),
        ({"config": {"agent_name": "x" * 129}}, "config.agent_name must be 128 characters or less"),
        ({"config": {"agent_name": 3}}, "config.agent_name: a text is expected, not a number"),
        (
            {"config": {"agent_name": "a", "agent_description": "x" * 2049}},
            "config.agent_description must be 2,048 characters or less",
        ),
        ({"config": {"agent_name": "a"}, "name": "a"}, "name: Extra inputs are not permitted"),
    ],
)
def test_an_invalid_configuration_is_rejected_with_its_issue(off, body, text):
    for method, path in (("POST", "/v1/agents"), ("PUT", f"/v1/agents/{NOWHERE}")):
        answer = off.client.request(method, path, json=body)
        assert (answer.status_code, answer.json()["error"]) == (400, text)
        assert len(answer.json()["issues"]) == 1


def test_versions_are_listed_and_one_becomes_the_present_state_again(emptied, module_database):
    store_agents(module_database)
    path = f"/v1/agents/{DESK}"
    listed = emptied.client.get(f"{path}/versions").json()
    assert list(listed) == ["agent_id", "versions"]
    assert listed["agent_id"] == DESK
    newest, oldest = listed["versions"]
    assert list(newest) == ["version_id", "config", "active", "created_at"]
    assert (newest["version_id"], newest["active"], newest["created_at"]) == (ACTIVE, True, "2026-02-23T12:00:00.000Z")
    assert (oldest["version_id"], oldest["active"], oldest["config"]["avatar"]) == (OLD, False, {"api_key": "********"})
    activated = emptied.client.post(f"{path}/versions/{OLD}/activate")
    assert (activated.status_code, activated.json()["agent"]["config"]) == (200, oldest["config"])
    stored = module_database.lk_agent_configs.find_one({"_id": ObjectId(DESK)})
    assert stored["config"]["avatar"]["api_key"] == "sk-old"
    assert [each["active"] for each in emptied.client.get(f"{path}/versions").json()["versions"]] == [False, True]
    assert emptied.client.post(f"{path}/versions/{OLD}/activate").json() == activated.json()
    [only] = emptied.client.get(f"/v1/agents/{PLAIN}/versions").json()["versions"]
    assert (only["active"], only["config"]["agent_description"]) == (True, "Sells")
    for agent_id, version_id in ((DESK, NO_VERSION), (NOWHERE, OLD), (PLAIN, OLD)):
        missing = emptied.client.post(f"/v1/agents/{agent_id}/versions/{version_id}/activate")
        assert (missing.status_code, missing.json()) == (404, {"error": "Agent or version not found"})
    for version_id in ("x", "b6a1c2d3e4f54a6b8c7d9e0f1a2b3c4d", "%00", "x" * 5000):
        invalid = emptied.client.post(f"{path}/versions/{version_id}/activate")
        assert (invalid.status_code, invalid.json()) == (400, {"error": "versionId must be a valid UUID"})


def test_the_list_of_versions_has_archived_ones_up_to_a_limit(emptied, module_database, monkeypatch):
    import chatstore_cli.core.agents.streams as streams

    monkeypatch.setattr(version_rules.places_to_keep, "__kwdefaults__", {"most": 3, "most_bytes": 12 << 20})
    monkeypatch.setattr(streams, "MOST_VERSIONS", 5)
    path = f"/agents/{emptied.client.post('/agents', json={'name': 'a'}).json()['agent']['id']}"
    for number in range(7):
        emptied.client.put(path, json={"config": {"n": number, "api_key": "sk-1234567890abcdef"}})
    assert module_database.agent_versions.count_documents({}) == 5
    listed = emptied.client.get(f"/v1{path}/versions").json()["versions"]
    assert [each["config"] for each in listed] == [{"n": n, "api_key": "********"} for n in (6, 5, 4, 3, 2)]
    assert [each["active"] for each in listed] == [True, False, False, False, False]
    back = emptied.client.post(f"/v1{path}/versions/{listed[-1]['version_id']}/activate")
    assert back.json()["agent"]["config"]["n"] == 2


def test_all_versions_that_another_writer_keeps_in_the_document_are_listed(emptied, module_database):
    at = datetime(2026, 2, 1, tzinfo=UTC)
    versions = [
        {
            "versionId": str(uuid.UUID(int=n)),
            "config": {"n": n},
            "active": n == 149,
            "createdAt": at + timedelta(hours=n),
        }
        for n in range(150)
    ]
    times = {"deletedAt": None, "createdAt": at, "updatedAt": at + timedelta(hours=149)}
    agent = {"_id": ObjectId(), "config": {"n": 149}, "versions": versions, "__v": 0, **times}
    module_database.lk_agent_configs.insert_one(agent)
    listed = emptied.client.get(f"/v1/agents/{agent['_id']}/versions").json()["versions"]
    assert [each["config"]["n"] for each in listed] == [*range(149, -1, -1)]


def test_another_tenants_versions_do_not_exist(server, database):
    store_agents(database)
    version = database.lk_agent_configs.find_one({"_id": ObjectId(DESK)})["versions"][0]["versionId"]
    other = server.key("globex")
    for agent_id in (DESK, NOWHERE):
        answers = [
            server.client.get(f"/v1/agents/{agent_id}/versions", headers=other),
            server.client.post(f"/v1/agents/{agent_id}/versions/{version}/activate", headers=other),
        ]
        assert [each.status_code for each in answers] == [404, 404]
        assert [each.json()["error"] for each in answers] == ["Agent not found", "Agent or version not found"]
    assert server.client.get(f"/v1/agents/{FOREIGN}/versions", headers=other).status_code == 200
    assert server.client.get("/v1/agents").json()["error"].startswith("A key is required")
