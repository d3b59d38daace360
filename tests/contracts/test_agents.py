"""The contract of the store of agents, in memory and on real servers, through the services that use it.

Every variant of the stored documents is in tests/samples/agents.json.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import bson
import pytest
from bson import DBRef, Decimal128, Int64, ObjectId, json_util

from chatstore_cli.config.settings import AgentSettings, ChatstoreSettings, Settings
from chatstore_cli.core.agents.checks import MAX_LEVELS
from chatstore_cli.core.agents.registry import AgentRegistryService
from chatstore_cli.core.agents.resolver import AgentConfigResolverService
from chatstore_cli.core.agents.secrets import MASK, masked_config
from chatstore_cli.domain.agents.models import Agent
from chatstore_cli.domain.errors import (
    AgentChanged,
    AgentNotFound,
    AgentVersionNotFound,
    BadValue,
    Conflict,
    InvalidAgent,
)
from chatstore_cli.mongo.agents.store import MongoAgentStore
from chatstore_cli.mongo.connection import Connection
from tests.support.paths import SAMPLES

SAMPLE = json_util.loads((SAMPLES / "agents.json").read_text(), json_options=json_util.JSONOptions(tz_aware=True))
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
NOWHERE = "f" * 24


@dataclass
class Agents:
    """The services over an empty database."""

    connection: Connection
    registry: AgentRegistryService
    resolver: AgentConfigResolverService
    now: list[datetime]

    def document(self, agent_id: str, collection: str = "agents") -> dict[str, Any]:
        """The stored document."""
        found = self.connection.collection(collection).find_one({"_id": ObjectId(agent_id)})
        assert found is not None
        return dict(found)

    def bytes_of(self, agent_id: str, collection: str = "agents") -> bytes:
        """The stored document as BSON."""
        return bson.encode(self.document(agent_id, collection))


def services(connection: Connection, settings: AgentSettings | None = None) -> Agents:
    """The services over a database."""
    now = [NOON]
    chosen = Settings(chatstore=ChatstoreSettings(agents=settings or AgentSettings()))
    store = MongoAgentStore(connection, chosen, server_now=lambda: now[0])
    return Agents(connection, AgentRegistryService(store), AgentConfigResolverService(store), now)


@pytest.fixture
def connection(each_connection: Connection) -> Connection:
    """An empty database."""
    return each_connection


@pytest.fixture
def agents(connection: Connection) -> Agents:
    """The services over an empty database."""
    return services(connection)


# --- what is stored already -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("collection", list(SAMPLE))
def test_every_variant_is_listed_and_found(connection: Connection, collection: str) -> None:
    sample = SAMPLE[collection]
    connection.collection(collection).insert_many(sample["documents"])
    agents = services(connection)
    assert agents.registry.collection_name() == collection
    page = agents.registry.list_agents()
    assert page.next_cursor is None
    assert len(page.agents) == len(sample["agents"])
    for agent, expected in zip(page.agents, sample["agents"], strict=True):
        assert {name: getattr(agent, name) for name in expected} == expected
        found = agents.registry.get_agent(agent.agent_id)
        assert {name: getattr(found, name) for name in expected} == expected
        assert found.config == agent.config
    deleted = agents.registry.list_agents(deleted=True).agents
    assert [agent.agent_id for agent in deleted] == sample["deleted"]
    for agent_id in sample["deleted"]:
        with pytest.raises(AgentNotFound):
            agents.registry.get_agent(agent_id)


@pytest.mark.parametrize("collection", list(SAMPLE))
def test_get_then_put_leaves_the_document_byte_equal(connection: Connection, collection: str) -> None:
    connection.collection(collection).insert_many(SAMPLE[collection]["documents"])
    agents = services(connection)
    agents.now[0] += timedelta(days=365)
    for agent in agents.registry.list_agents().agents:
        before = agents.bytes_of(agent.agent_id, collection)
        for shown in (agent.config, masked_config(agent.config)):
            config = json.loads(json.dumps(shown))
            if agent.key is None:
                agents.registry.update_agent(agent.agent_id, config=config)
                agents.registry.update_agent(agent.agent_id, config=dict(reversed(config.items())))
                agents.registry.update_agent(agent.agent_id)
            else:
                agents.registry.upsert_keyed_agent(agent.key, config)
            assert agents.bytes_of(agent.agent_id, collection) == before


@pytest.mark.parametrize("collection", list(SAMPLE))
def test_a_change_keeps_what_is_unknown_and_the_former_state(connection: Connection, collection: str) -> None:
    connection.collection(collection).insert_many(SAMPLE[collection]["documents"])
    agents = services(connection)
    for agent in [agent for agent in agents.registry.list_agents().agents if agent.key is None]:
        before = agents.document(agent.agent_id, collection)
        connection.collection(collection).update_one(
            {"_id": before["_id"]}, {"$set": {"beside": {"id": ObjectId(), "n": Int64(5)}}}
        )
        changed = agents.registry.update_agent(
            agent.agent_id, config={**masked_config(agent.config), "greeting": "Hello"}
        )
        after = agents.document(agent.agent_id, collection)
        assert after.pop("beside")["n"] == 5
        assert {type(each) for each in after["config"].values()} >= {type(each) for each in before["config"].values()}
        assert after["config"] == {**before["config"], "greeting": "Hello"}
        assert changed.name == agent.name
        rest = {name: value for name, value in after.items() if name not in ("config", "updatedAt", "versions")}
        assert rest == {name: before[name] for name in before if name not in ("config", "updatedAt", "versions")}
        assert [each["active"] for each in after["versions"]].count(True) == 1
        states = [each["config"] for each in after["versions"]]
        assert states[-2:] == [before["config"], after["config"]]
        assert states[:-2] == [each["config"] for each in before.get("versions", [])[:-1]]
        assert ("name" in after["versions"][-1]) is not agent.names_in_config


def test_a_new_agent_has_the_shape_of_the_newest(connection: Connection) -> None:
    for collection in ("Agent", "lk_agent_configs"):
        connection.collection("Agent").drop()
        connection.collection(collection).insert_many(SAMPLE[collection]["documents"])
        agents = services(connection)
        created = agents.registry.create_agent(" New ", description="d", config={"a": 1}, tenant_id="acme", user_id="u")
        document = agents.document(created.agent_id, collection)
        assert document["config"] == {"agent_name": "New", "agent_description": "d", "a": 1}
        assert list(document) == [
            "_id",
            "orgId",
            "createdByUserId",
            "config",
            "deletedAt",
            "createdAt",
            "updatedAt",
            "__v",
        ]
        assert agents.registry.get_agent(created.agent_id, tenant_id="acme") == created
        assert (created.name, created.description, created.names_in_config) == ("New", "d", True)
        renamed = agents.registry.update_agent(created.agent_id, name="Newer", description=None)
        assert renamed.config == {"agent_name": "Newer", "agent_description": None, "a": 1}
        with pytest.raises(InvalidAgent, match=r"config\.agent_name is required"):
            agents.registry.update_agent(created.agent_id, config={"a": 2})


def test_the_first_version_reads_what_is_created_in_an_empty_database(agents: Agents) -> None:
    created = agents.registry.create_agent(config={"agent_name": "A"})
    document = agents.document(created.agent_id)
    assert {name: value for name, value in document.items() if name != "_id"} == {
        "name": "A", "description": None, "config": {"agent_name": "A"}, "deletedAt": None, "createdAt": NOON,
        "updatedAt": NOON, "__v": 0,
    }  # fmt: skip


# --- lists ------------------------------------------------------------------------------------------------------------


def test_pages_have_every_agent_once(agents: Agents) -> None:
    for number in range(7):
        agents.now[0] = NOON + timedelta(minutes=number // 3)
        agents.registry.create_agent(f"a{number}")
    for key in ("k1", "k2", "k3"):
        agents.registry.upsert_keyed_agent(key, {"name": key})
    expected = [agent.agent_id for agent in agents.registry.list_agents().agents]
    assert len(set(expected)) == 10
    for limit in (1, 2, 3, 9, 10):
        seen, cursor = [], None
        while True:
            page = agents.registry.list_agents(limit=limit, cursor=cursor, with_config=False)
            seen += [agent.agent_id for agent in page.agents]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert seen == expected, limit
    by_time = [(agent.updated_at, agent.agent_id) for agent in agents.registry.list_agents().agents if agent.updated_at]
    assert by_time == sorted(by_time, reverse=True)


def test_a_change_during_paging_hides_no_other_agent(agents: Agents) -> None:
    ids = [agents.registry.create_agent(f"a{number}").agent_id for number in range(4)]
    first = agents.registry.list_agents(limit=2)
    agents.registry.update_agent(first.agents[0].agent_id, name="moved")
    agents.registry.delete_agent(first.agents[1].agent_id)
    rest = agents.registry.list_agents(limit=5, cursor=first.next_cursor)
    assert {agent.agent_id for agent in (*first.agents, *rest.agents)} == set(ids)


def test_a_list_without_configurations_has_the_names(agents: Agents) -> None:
    agents.connection.collection("lk_agent_configs").insert_many(SAMPLE["lk_agent_configs"]["documents"])
    names = [agent.name for agent in agents.registry.list_agents(with_config=False).agents]
    assert names == ["Versioned", "Of acme", "Early"]


@pytest.mark.parametrize("limit", [0, 201, -1, True, "5"])
def test_limits(agents: Agents, limit: Any) -> None:
    with pytest.raises(BadValue, match="from 1 to 200"):
        agents.registry.list_agents(limit=limit)


# --- tenants ----------------------------------------------------------------------------------------------------------


def test_a_tenant_has_its_own_agents_only(agents: Agents) -> None:
    mine = agents.registry.create_agent("mine", tenant_id="acme")
    others = agents.registry.create_agent("theirs", tenant_id="other"), agents.registry.create_agent("nobody's")
    agents.connection.collection("agents").update_one(
        {"_id": ObjectId(others[1].agent_id)}, {"$set": {"orgId": ["acme"]}}
    )
    keyed = agents.registry.upsert_keyed_agent("key", {"a": 1}, tenant_id="other")
    mine_only = agents.registry.list_agents(tenant_id="acme").agents
    assert [agent.agent_id for agent in mine_only] == [mine.agent_id]
    assert len(agents.registry.list_agents().agents) == 4
    version = agents.registry.update_agent(others[0].agent_id, name="x").version_id
    before = [agents.bytes_of(agent.agent_id) for agent in (*others, keyed)]
    registry, scope = agents.registry, {"tenant_id": "acme"}
    for other in (each.agent_id for each in others):
        for call in (
            registry.get_agent,
            partial(registry.update_agent, name="y"),
            registry.delete_agent,
            registry.restore_agent,
            registry.history,
            partial(registry.get_version, version_id=version),
            partial(registry.activate, version_id=version),
            partial(registry.diff, old_version=version),
            registry.plan_purge,
            agents.resolver.resolve,
        ):
            with pytest.raises((AgentNotFound, AgentVersionNotFound)):
                call(other, **scope)
    with pytest.raises(AgentNotFound):
        registry.get_keyed_agent("key", **scope)
    registry.purge(**scope)
    assert registry.upsert_keyed_agent("key", {"a": 2}, **scope).agent_id != keyed.agent_id
    assert [agents.bytes_of(agent.agent_id) for agent in (*others, keyed)] == before


def test_an_empty_tenant_is_rejected(agents: Agents) -> None:
    for call in (agents.registry.list_agents, agents.registry.purge):
        with pytest.raises(InvalidAgent, match="tenant_id is required"):
            call(tenant_id="")


# --- changes and versions ---------------------------------------------------------------------------------------------


def test_an_update_from_another_version_is_a_conflict(agents: Agents) -> None:
    created = agents.registry.create_agent("a", config={"n": 0})
    assert agents.registry.get_agent(created.agent_id).version_id == created.version_id
    first = agents.registry.update_agent(created.agent_id, config={"n": 1}, base_version=created.version_id)
    before = agents.bytes_of(created.agent_id)
    for stale in (created.version_id, str(uuid.uuid4()), "x"):
        with pytest.raises(AgentChanged) as caught:
            agents.registry.update_agent(created.agent_id, config={"n": 2}, base_version=stale)
        assert caught.value.exit_code == 8
    assert agents.bytes_of(created.agent_id) == before
    assert agents.registry.get_agent(created.agent_id).version_id == first.version_id
    agents.registry.update_agent(created.agent_id, config={"n": 3})
    numbers = [
        agents.registry.get_version(created.agent_id, version.version_id).config["n"]
        for version in agents.registry.history(created.agent_id)
    ]
    assert numbers == [3, 1, 0]


def test_each_change_has_a_later_time(agents: Agents) -> None:
    created = agents.registry.create_agent("a")
    times = [
        created.updated_at,
        *(agents.registry.update_agent(created.agent_id, name=f"a{n}").updated_at for n in range(3)),
    ]
    assert times == [NOON + timedelta(milliseconds=number) for number in range(4)]


def test_a_change_by_a_writer_without_versions_stays_in_the_history(agents: Agents) -> None:
    created = agents.registry.create_agent("a", config={"n": 0})
    agents.registry.update_agent(created.agent_id, config={"n": 1})
    stored = agents.connection.collection("agents")
    stored.update_one({}, {"$set": {"config": {"n": 2}, "updatedAt": NOON + timedelta(hours=1)}})
    seen = agents.registry.get_agent(created.agent_id)
    assert agents.registry.history(created.agent_id)[0].version_id == seen.version_id
    agents.now[0] = NOON + timedelta(hours=2)
    agents.registry.update_agent(created.agent_id, config={"n": 3}, base_version=seen.version_id)
    history = agents.registry.history(created.agent_id)
    configs = [agents.registry.get_version(created.agent_id, each.version_id).config["n"] for each in history]
    assert configs == [3, 2, 1, 0]
    assert [each.active for each in history] == [True, False, False, False]
    assert history[1].version_id == seen.version_id


def test_activating_a_version_restores_name_and_configuration(agents: Agents) -> None:
    created = agents.registry.create_agent("one", description="d", config={"n": 1, "api_key": "k"})
    agents.registry.update_agent(created.agent_id, name="two", config={"n": 2})
    found = agents.registry.diff(created.agent_id, created.version_id)
    assert [(each.path, each.kind, each.old) for each in found] == [
        (".name", "changed", "one"), ("config.n", "changed", 1), ("config.api_key", "removed", MASK),
    ]  # fmt: skip
    active = agents.registry.activate(created.agent_id, created.version_id)
    assert (active.name, active.description, active.config) == ("one", "d", {"n": 1, "api_key": "k"})
    assert active.version_id == created.version_id
    assert [each.active for each in agents.registry.history(created.agent_id)] == [False, True]
    before = agents.bytes_of(created.agent_id)
    agents.registry.activate(created.agent_id, created.version_id)
    assert agents.bytes_of(created.agent_id) == before
    with pytest.raises(AgentVersionNotFound, match="Agent or version not found"):
        agents.registry.activate(created.agent_id, str(uuid.uuid4()))
    with pytest.raises(AgentVersionNotFound):
        agents.registry.activate(NOWHERE, created.version_id)


def test_the_newest_100_versions_stay_and_the_others_are_archived(agents: Agents) -> None:
    created = agents.registry.create_agent("a", config={"n": 0})
    for number in range(1, 104):
        agents.registry.update_agent(created.agent_id, config={"n": number})
    document = agents.document(created.agent_id)
    assert [each["config"]["n"] for each in document["versions"]] == list(range(4, 104))
    archived = list(agents.connection.collection("agent_versions").find().sort("createdAt", 1))
    assert [each["config"]["n"] for each in archived] == [0, 1, 2, 3]
    history = agents.registry.history(created.agent_id)
    assert [each.archived for each in history] == [False] * 100 + [True] * 4
    assert len({each.version_id for each in history}) == 104
    assert len(agents.registry.history(created.agent_id, limit=3)) == 3
    oldest = agents.registry.get_version(created.agent_id, history[-1].version_id)
    assert (oldest.config, oldest.archived) == ({"n": 0}, True)
    assert agents.registry.activate(created.agent_id, oldest.version_id).config == {"n": 0}
    again = agents.registry.update_agent(created.agent_id, config={"n": 200})
    after = agents.registry.history(created.agent_id)
    assert {each.version_id for each in after} == {each.version_id for each in history} | {again.version_id}
    agents.registry.delete_agent(created.agent_id)
    assert agents.registry.purge(created.agent_id).versions == agents.registry.purge().versions + 5
    assert agents.connection.collection("agent_versions").count_documents({}) == 0


def test_a_version_is_archived_once(agents: Agents) -> None:
    created = agents.registry.create_agent("a", config={"n": 0})
    for number in range(1, 101):
        agents.registry.update_agent(created.agent_id, config={"n": number})
    before = agents.document(created.agent_id)
    agents.registry.activate(created.agent_id, created.version_id)
    agents.connection.collection("agents").replace_one({"_id": before["_id"]}, before)  # as after a killed update
    agents.registry.update_agent(created.agent_id, config={"n": 101})
    ids = [each.version_id for each in agents.registry.history(created.agent_id)]
    assert len(ids) == len(set(ids)) == 102


def test_versions_that_are_no_list_are_left_alone(agents: Agents) -> None:
    created = agents.registry.create_agent("a", config={"n": 0})
    for odd in ("text", [5], {"a": 1}):
        agents.connection.collection("agents").update_one({}, {"$set": {"versions": odd}})
        assert agents.registry.get_agent(created.agent_id).config == {"n": 0}
        assert len(agents.registry.history(created.agent_id)) == 1
        before = agents.bytes_of(created.agent_id)
        with pytest.raises(Conflict, match="is not a list of versions"):
            agents.registry.update_agent(created.agent_id, config={"n": 1})
        assert agents.bytes_of(created.agent_id) == before


def test_several_active_versions_become_one(agents: Agents) -> None:
    agents.connection.collection("lk_agent_configs").insert_many(SAMPLE["lk_agent_configs"]["documents"])
    agent_id = "65bb00000000000000000013"
    agents.connection.collection("lk_agent_configs").update_one(
        {"_id": ObjectId(agent_id)}, {"$set": {"versions.0.active": True}}
    )
    seen = agents.registry.get_agent(agent_id)
    agents.registry.update_agent(agent_id, config={**seen.config, "n": 1}, base_version=seen.version_id)
    versions = agents.document(agent_id, "lk_agent_configs")["versions"]
    assert [each["active"] for each in versions].count(True) == 1
    assert versions[-1]["active"]


def test_odd_keys_and_values_are_stored_as_they_are(agents: Agents) -> None:
    if agents.connection.in_memory:
        pytest.skip("mongomock cannot store every name of a field")
    deep: dict[str, Any] = {}
    for _ in range(MAX_LEVELS - 1):
        deep = {"a": deep}
    config = {
        "__proto__": {"polluted": True}, "constructor": {"prototype": 1}, "$set": {"$where": 1}, "a.b": {"": 1}, "": 0,
        "$ref": "x", "$id": 1, "s": {"$id": 1, "$ref": "y", "more": 2}, "nul": "a\0b", "n": -0.0, "big": 2**63 - 1,
    }  # fmt: skip
    for each in (config, deep):
        created = agents.registry.create_agent("a", config=each)
        stored = agents.registry.get_agent(created.agent_id)
        assert stored == created
        assert stored.config == each
        changed = agents.registry.update_agent(created.agent_id, config={**each, "z": 1})
        assert agents.registry.get_agent(created.agent_id) == changed
        assert agents.registry.get_version(created.agent_id, created.version_id).config == each
        assert agents.resolver.resolve(created.agent_id, {"z": {}}).config == {**each, "z": {}, "tools": []}


def test_values_that_json_has_no_type_for_survive_a_change(agents: Agents) -> None:
    created = agents.registry.create_agent("a")
    values = {
        "id": ObjectId(),
        "at": NOON,
        "n": Int64(7),
        "d": Decimal128("1.50"),
        "r": DBRef("c", 1),
        "x": [NOON, {"y": b"z"}],
    }
    if agents.connection.in_memory:
        del values["d"], values["r"]  # mongomock cannot store them
    agents.connection.collection("agents").update_one({}, {"$set": {"config": values}})
    shown = json.loads(json.dumps(dict(agents.registry.get_agent(created.agent_id).config)))
    shown["x"].append("new")
    agents.registry.update_agent(created.agent_id, config={**shown, "greeting": "Hi"})
    stored = agents.document(created.agent_id)["config"]
    assert {name: stored[name] for name in values} == {**values, "x": [*values["x"], "new"]}
    assert type(stored["n"]) is type(values["n"]) or agents.connection.in_memory


# --- deletion ---------------------------------------------------------------------------------------------------------


def test_a_deleted_agent_can_be_restored(agents: Agents) -> None:
    created = agents.registry.create_agent("a", config={"n": 0})
    before = agents.bytes_of(created.agent_id)
    agents.registry.delete_agent(created.agent_id)
    for call in (
        lambda: agents.registry.delete_agent(created.agent_id),
        lambda: agents.registry.get_agent(created.agent_id),
        lambda: agents.registry.update_agent(created.agent_id, name="b"),
        lambda: agents.registry.history(created.agent_id),
        lambda: agents.resolver.resolve(created.agent_id),
    ):
        with pytest.raises(AgentNotFound, match=r"^Agent not found$"):
            call()
    assert agents.registry.get_agent(created.agent_id, deleted=True).deleted_at == NOON
    assert agents.registry.restore_agent(created.agent_id) == created
    assert agents.bytes_of(created.agent_id) == before
    with pytest.raises(AgentNotFound):
        agents.registry.restore_agent(created.agent_id)


def test_a_purge_deletes_what_was_planned_and_nothing_else(agents: Agents) -> None:
    stored = agents.connection.collection("agents")
    agents.registry.upsert_keyed_agent("k", {"a": 1})
    stored.update_one({"agent_id": "k"}, {"$set": {"deletedAt": NOON}})
    ids = [agents.registry.create_agent(f"a{number}").agent_id for number in range(4)]
    stored.insert_many(
        [
            {"_id": "theirs", "deletedAt": NOON, "config": {}},
            {"deletedAt": NOON, "name": "x", "updatedAt": NOON},
            {"deletedAt": [NOON], "name": "x", "config": {}, "updatedAt": NOON},
        ]
    )
    for number in range(3):
        agents.now[0] = NOON + timedelta(days=number)
        agents.registry.delete_agent(ids[number])
    with pytest.raises(AgentNotFound):
        agents.registry.plan_purge(ids[3])
    assert agents.registry.plan_purge(ids[0]).agents == 1
    assert agents.registry.plan_purge(deleted_before=NOON + timedelta(days=1)).agents == 1
    assert agents.registry.purge(deleted_before=NOON + timedelta(days=1)).agents == 1
    assert agents.registry.purge(ids[3]).agents == 0
    assert agents.registry.plan_purge().agents == agents.registry.purge().agents == 2
    assert stored.count_documents({}) == 5
    assert [agent.agent_id for agent in agents.registry.list_agents().agents] == [ids[3]]


# --- agents of lyzr-agent ---------------------------------------------------------------------------------------------


def test_agents_by_their_own_key(agents: Agents) -> None:
    created = agents.registry.upsert_keyed_agent("my agent/1", {"name": "A", "llm": {"api_key": "k", "t": 1}, "n": 1})
    assert agents.registry.get_keyed_agent("my agent/1") == created
    changed = agents.registry.upsert_keyed_agent("my agent/1", {"llm": {"api_key": MASK, "t": 2}})
    assert changed.config == {"name": "A", "llm": {"api_key": "k", "t": 2}, "n": 1}
    assert agents.document(created.agent_id)["agent_id"] == "my agent/1"
    assert agents.registry.get_agent(created.agent_id) == changed
    with pytest.raises(AgentNotFound):
        agents.registry.get_keyed_agent("other")
    with pytest.raises(Conflict, match="stored by lyzr-agent"):
        agents.registry.update_agent(created.agent_id, config={})
    with pytest.raises(Conflict, match="stored by lyzr-agent"):
        agents.registry.delete_agent(created.agent_id)
    for field in ("_id", "a.b", "$set", "", "versions", "agent_id"):
        with pytest.raises(BadValue):
            agents.registry.upsert_keyed_agent("k", {field: 1})
    with pytest.raises(InvalidAgent, match=r"data\.token: the value is the mask"):
        agents.registry.upsert_keyed_agent("new", {"token": MASK})
    assert len(agents.registry.list_agents().agents) == 1


def test_a_key_with_the_form_of_an_id(agents: Agents) -> None:
    key = "66cae30a0123456789abcdef"
    agents.connection.collection("agents").insert_one({"agent_id": key, "name": "L", "tools": ["add_note"]})
    assert agents.registry.get_agent(key).key == key
    assert agents.resolver.resolve(key, {"x": 1}).config == {"name": "L", "tools": ["add_note"], "x": 1}


# --- the resolver -----------------------------------------------------------------------------------------------------


def test_a_configuration_is_resolved(agents: Agents) -> None:
    stored = {"tools": ["*"], "llm": {"api_key": "k", "model": "m"}, "knowledge_base": {"enabled": True}}
    created = agents.registry.create_agent("a", config=stored, tenant_id="acme")
    resolved = agents.resolver.resolve(
        created.agent_id.upper(), {"llm": {"api_key": MASK, "model": None}}, tenant_id="acme"
    )
    assert resolved.config["llm"] == {"api_key": "k", "model": None}
    assert resolved.config["tools"][-1] == "search_knowledge_base"
    assert (resolved.agent_id, resolved.name, resolved.tenant_id) == (created.agent_id, "a", "acme")
    assert "'k'" not in repr(resolved)
    assert agents.registry.get_agent(created.agent_id).config == stored
    assert agents.resolver.resolve(None, {"a": 1}).config == {"a": 1, "tools": []}
    with pytest.raises(InvalidAgent, match=r"overrides\.other_token"):
        agents.resolver.resolve(created.agent_id, {"other_token": MASK})
    with pytest.raises(InvalidAgent, match="agentId must be a valid Mongo ObjectId"):
        agents.resolver.resolve("65bb")
    with pytest.raises(AgentNotFound):
        agents.resolver.resolve(NOWHERE)


def test_no_secret_is_in_the_text_of_an_agent(agents: Agents) -> None:
    created = agents.registry.create_agent("a", config={"api_key": "hidden-value"})
    version = agents.registry.get_version(created.agent_id, created.version_id)
    page = agents.registry.list_agents()
    assert "hidden-value" not in "".join(map(repr, (created, version, page)))
    assert isinstance(page.agents[0], Agent)
    assert page.agents[0].config["api_key"] == "hidden-value"
