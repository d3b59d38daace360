"""What is particular to MongoDB: collations, users with few rights, names of the platform, versions without configurations."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId

from chatstore_cli.config.settings import AgentSettings, ChatstoreSettings, Settings
from chatstore_cli.core.agents.registry import AgentRegistryService
from chatstore_cli.domain.errors import AgentNotFound, Conflict, InvalidAgent, UnsuitableCollection
from chatstore_cli.mongo.agents.store import MongoAgentStore
from chatstore_cli.mongo.connection import Connection

pytestmark = pytest.mark.real
NOW = datetime(2026, 3, 2, tzinfo=UTC)


def registry(connection: Connection, **names: str) -> AgentRegistryService:
    """The agents of a database."""
    settings = Settings(chatstore=ChatstoreSettings(agents=AgentSettings(**names)))
    return AgentRegistryService(MongoAgentStore(connection, settings, server_now=lambda: NOW))


def test_ids_are_exact_under_a_collation(connection: Connection) -> None:
    connection.database.create_collection("agents", collation={"locale": "en", "strength": 2})
    agents = registry(connection)
    upper, lower = (agents.create_agent("a", tenant_id=tenant) for tenant in ("Acme", "acme"))
    assert [each.agent_id for each in agents.list_agents(tenant_id="Acme").agents] == [upper.agent_id]
    with pytest.raises(AgentNotFound):
        agents.get_agent(lower.agent_id, tenant_id="Acme")
    with pytest.raises(AgentNotFound):
        agents.update_agent(lower.agent_id, name="b", tenant_id="Acme")
    keyed = [agents.upsert_keyed_agent(key, {"n": 1}).agent_id for key in ("Key", "key")]
    assert [agents.get_keyed_agent(key).agent_id for key in ("Key", "key")] == keyed
    assert len({*keyed}) == 2
    for number in range(3):
        agents.update_agent(upper.agent_id, config={"n": number})
    assert len(agents.history(upper.agent_id)) == 4
    seen, cursor = [], None
    while cursor is not None or not seen:
        page = agents.list_agents(limit=1, cursor=cursor)
        seen += [each.agent_id for each in page.agents]
        cursor = page.next_cursor
    assert sorted(seen) == sorted([upper.agent_id, lower.agent_id, *keyed])


def test_versions_are_not_archived_where_two_could_be_one(connection: Connection) -> None:
    connection.database.create_collection("agent_versions", collation={"locale": "en", "strength": 2})
    agents = registry(connection)
    agent = agents.create_agent("a")
    entries = [{"versionId": f"v{number}", "config": {}, "active": False, "createdAt": NOW} for number in range(100)]
    connection.collection("agents").update_one({}, {"$set": {"versions": entries}})
    with pytest.raises(UnsuitableCollection, match="agent_versions has the collation"):
        agents.update_agent(agent.agent_id, config={"n": 1})
    assert agents.get_agent(agent.agent_id).config == {}


def test_no_agent_is_stored_in_a_view(connection: Connection) -> None:
    connection.database.command("create", "agents", viewOn="other", pipeline=[])
    with pytest.raises(UnsuitableCollection, match="agents is a view"):
        registry(connection).create_agent("a")
    assert registry(connection).list_agents().agents == ()


def test_names_in_the_configuration(connection: Connection) -> None:
    agents = registry(connection, collection="lk_agent_configs")
    agent = agents.create_agent("a", description="d", config={"n": 1})
    changed = agents.update_agent(agent.agent_id, config={"agent_name": " b ", "n": 1})
    assert (changed.name, changed.description, changed.config["agent_name"]) == ("b", None, "b")
    with pytest.raises(InvalidAgent, match=r"config\.agent_name is required"):
        agents.update_agent(agent.agent_id, config={"agent_name": "  "})
    with pytest.raises(InvalidAgent, match=r"config\.agent_description must be 2,048 characters or less"):
        agents.update_agent(agent.agent_id, config={"agent_name": "b", "agent_description": "x" * 2_049})
    stored = connection.collection("lk_agent_configs")
    stored.update_one({}, {"$set": {"config": {"agent_name": "x" * 200, "agent_description": 5}}})
    config = dict(agents.get_agent(agent.agent_id).config)
    assert agents.update_agent(agent.agent_id, config={**config, "n": 2}).config == {**config, "n": 2}


def test_a_version_without_a_configuration_is_not_activated(connection: Connection) -> None:
    agents = registry(connection)
    agent = agents.create_agent("a", config={"n": 1})
    entry: dict[str, Any] = {"versionId": "3f0b8e9a-6d54-4f2d-9a52-0a1f3b5c7d9e", "active": False, "createdAt": NOW}
    connection.collection("agents").update_one({}, {"$set": {"versions": [entry]}})
    with pytest.raises(Conflict, match="has no configuration"):
        agents.activate(agent.agent_id, entry["versionId"])
    assert agents.get_agent(agent.agent_id) == agent


@pytest.mark.parametrize("mebibytes", [4, 8])
def test_a_large_configuration_keeps_its_history(connection: Connection, mebibytes: int) -> None:
    agents = registry(connection)
    large = {"text": "x" * (mebibytes * 1024 * 1024)}
    created = agents.create_agent("a", config=large)
    agents.update_agent(created.agent_id, config={**large, "n": 1})
    second = agents.update_agent(created.agent_id, config={**large, "n": 2})
    assert agents.get_agent(created.agent_id).version_id == second.version_id
    agents.update_agent(created.agent_id, config={"n": 3})
    history = agents.history(created.agent_id)
    configs = [agents.get_version(created.agent_id, each.version_id).config for each in history]
    assert configs == [{"n": 3}, {**large, "n": 2}, {**large, "n": 1}, large]


def test_the_indexes_serve_the_lists(connection: Connection) -> None:
    agents = registry(connection)
    agents.create_agent("a", tenant_id="acme")
    stored = connection.collection("agents")
    assert {"agents_updated_idx", "agents_org_updated_idx", "agents_key_idx"} <= set(stored.index_information())
    stored.insert_many(
        {"config": {}, "deletedAt": None, "updatedAt": NOW, "createdAt": NOW, "orgId": f"t{number % 3}"}
        for number in range(300)
    )
    connection.database.command("profile", 2)
    try:
        first = agents.list_agents(limit=5)
        agents.list_agents(limit=5, cursor=first.next_cursor)
        agents.list_agents(limit=5, tenant_id="t1")
        agents.get_agent(first.agents[0].agent_id)
    finally:
        connection.database.command("profile", 0)
    found = list(
        connection.database["system.profile"].find({"ns": f"{connection.database.name}.agents", "op": "query"})
    )
    assert len(found) >= 4
    for each in found:
        assert each["docsExamined"] <= 12, each["planSummary"]
        assert not each.get("hasSortStage"), each["planSummary"]
    assert ObjectId(first.agents[0].agent_id)
