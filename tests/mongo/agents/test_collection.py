"""Which collection has the agents, and which documents of it are agents."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Binary, Code, DBRef, MinKey, ObjectId, Regex, Timestamp, json_util

from chatstore_cli.config.settings import AgentSettings, ChatstoreSettings, Settings
from chatstore_cli.core.agents.registry import AgentRegistryService
from chatstore_cli.domain.errors import AgentNotFound, Conflict, ForeignCollection
from chatstore_cli.mongo.agents.own_agents import KEYED_AGENTS, OWN_AGENTS, PLATFORM_AGENTS
from chatstore_cli.mongo.agents.store import MongoAgentStore
from chatstore_cli.mongo.connection import Connection
from tests.support.bson_values import VALUES
from tests.support.paths import SAMPLES

NOW = datetime(2026, 3, 2, tzinfo=UTC)
PLAIN = {
    type(None),
    bool,
    int,
    float,
    str,
    bytes,
    list,
    dict,
    datetime,
    ObjectId,
    Code,
    DBRef,
    Binary,
    Regex,
    Timestamp,
    MinKey,
}
"""Types of values that a list can hold too."""
AGENT: dict[str, Any] = {"config": {}, "deletedAt": None, "createdAt": NOW, "updatedAt": NOW, "name": "a"}
OTHERS: list[dict[str, Any]] = [
    {"name": "crew", "role": "researcher", "config": {"llm": "x"}, "createdAt": NOW, "updatedAt": NOW},
    {"agentId": "a", "prompt": "p"},
    {**AGENT, "_id": "text"},
    {**AGENT, "config": [{"a": 1}]},
    {**AGENT, "config": "text"},
    {**AGENT, "updatedAt": "2026-03-02"},
    {**AGENT, "updatedAt": [NOW]},
    {name: value for name, value in AGENT.items() if name != "deletedAt"},
    {"agent_id": 5, "name": "n"},
    {"agent_id": ["a"], "name": "n"},
]


def registry(connection: Connection, collection: str | None = None) -> AgentRegistryService:
    """The agents of a database."""
    settings = Settings(chatstore=ChatstoreSettings(agents=AgentSettings(collection=collection)))
    return AgentRegistryService(MongoAgentStore(connection, settings, server_now=lambda: NOW))


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ({}, "agents"),
        ({"other": OTHERS[0]}, "agents"),
        ({"Agent": AGENT}, "Agent"),
        ({"lk_agent_configs": AGENT, "agents": OTHERS[0]}, "lk_agent_configs"),
        ({"Agent": None}, "Agent"),
        ({"Agent": None, "lk_agent_configs": AGENT}, "lk_agent_configs"),
        ({"Agent": AGENT, "lk_agent_configs": None}, "Agent"),
        ({"Agent": None, "lk_agent_configs": None}, "lk_agent_configs"),
        ({"agents": AGENT}, "agents"),
        ({"agents": None}, "agents"),
    ],
)
def test_the_collection_is_chosen_by_what_exists(
    connection: Connection, stored: dict[str, dict[str, Any] | None], expected: str
) -> None:
    for name, document in stored.items():
        connection.database.create_collection(name)
        if document is not None:
            connection.collection(name).insert_one(dict(document))
    assert registry(connection).collection_name() == expected
    assert registry(connection, "mine").collection_name() == "mine"


def test_two_collections_with_documents_are_a_conflict(connection: Connection) -> None:
    for name in ("Agent", "lk_agent_configs"):
        connection.collection(name).insert_one(dict(AGENT))
    with pytest.raises(Conflict, match="lk_agent_configs and Agent both have documents") as caught:
        registry(connection).list_agents()
    assert "chatstore.agents.collection" in str(caught.value.hint)
    assert len(registry(connection, "Agent").list_agents().agents) == 1


@pytest.mark.parametrize("name", ["agents", "Agent"])
def test_a_collection_of_another_product_is_not_used(connection: Connection, name: str) -> None:
    connection.collection(name).insert_many([dict(each) for each in OTHERS[:2]])
    with pytest.raises(
        ForeignCollection, match=f"{name} holds 2 documents that are not agents of this platform: _id, name"
    ):
        registry(connection).list_agents()
    with pytest.raises(ForeignCollection):
        registry(connection, name).create_agent("a")
    assert registry(connection, name).list_agents().agents == ()
    assert connection.collection(name).count_documents({}) == 2


def test_documents_of_another_shape_are_neither_found_nor_changed(connection: Connection) -> None:
    stored = connection.collection("agents")
    stored.insert_many([dict(AGENT) for _ in range(len(OTHERS))] + [dict(each) for each in OTHERS])
    others = list(stored.find({"$nor": [OWN_AGENTS.filter()]}))
    assert len(others) == len(OTHERS)
    agents = registry(connection)
    assert len(agents.list_agents().agents) == len(OTHERS)
    for document in others:
        if isinstance(document["_id"], ObjectId):
            agent_id = str(document["_id"])
            for call in (
                agents.get_agent,
                agents.delete_agent,
                agents.restore_agent,
                agents.plan_purge,
                agents.history,
            ):
                with pytest.raises(AgentNotFound):
                    call(agent_id)
    stored.update_many({}, {"$set": {"deletedAt": NOW}})
    before = list(stored.find({"$nor": [PLATFORM_AGENTS.filter()]}).sort("_id"))
    assert agents.purge().agents == len(OTHERS) + 2  # two of the others lacked nothing but `deletedAt`
    assert list(stored.find().sort("_id")) == before


def test_the_filter_and_the_test_in_python_agree(connection: Connection) -> None:
    sample = json_util.loads((SAMPLES / "agents.json").read_text())
    known = [document for each in sample.values() for document in each["documents"]]
    assert all(OWN_AGENTS.matches(document) for document in known)
    stored = connection.collection("agents")
    fields = ("config", "deletedAt", "updatedAt", "agent_id")
    odd = [
        {**AGENT, field: each}
        for field in fields
        for value in VALUES
        for each in (value, [value])
        if type(value) in PLAIN
    ]
    stored.insert_many([*known, *(dict(each) for each in OTHERS), *odd])
    for own in (OWN_AGENTS, PLATFORM_AGENTS, KEYED_AGENTS):
        selected = [document["_id"] for document in stored.find(own.filter())]
        assert selected == [document["_id"] for document in stored.find() if own.matches(document)]
        assert 1 <= len(selected) < len(known) + len(odd)
