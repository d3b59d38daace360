"""Any value in any field of a stored agent: every call answers or raises an error of chatstore, and loses nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import cycle, product
from typing import Any

import pymongo.errors
import pytest
from bson import ObjectId

from chatstore_cli.config.settings import AgentSettings, ChatstoreSettings, Settings
from chatstore_cli.core.agents.registry import AgentRegistryService
from chatstore_cli.core.agents.resolver import AgentConfigResolverService
from chatstore_cli.core.agents.secrets import masked_config
from chatstore_cli.domain.agents.models import Agent
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.mongo.agents.store import MongoAgentStore
from chatstore_cli.mongo.connection import Connection
from tests.support.bson_values import VALUES, with_value

pytestmark = pytest.mark.real
NOW = datetime(2026, 3, 1, tzinfo=UTC)
TIMES = {"createdAt": NOW, "updatedAt": NOW}
ENTRIES = [
    {"versionId": f"v{number}", "config": {"n": number}, "active": number == 1, "createdAt": NOW} for number in range(2)
]
FIRST = {"name": "a", "description": None, "config": {"n": 1}, "versions": ENTRIES, "deletedAt": None, **TIMES}
LATER = {
    "orgId": "acme",
    "createdByUserId": "u",
    "config": {"agent_name": "a"},
    "versions": ENTRIES,
    "deletedAt": None,
    **TIMES,
}
KEYED = {"agent_id": "k", "name": "a", "tools": []}
PLACES = [
    *((FIRST, path) for path in (
        "name", "description", "config", "config.x", "config.api_key", "versions", "versions.0", "versions.0.versionId",
        "versions.1.config", "versions.1.active", "versions.0.createdAt", "deletedAt", "createdAt", "updatedAt", "agent_id",
    )),
    *((LATER, path) for path in ("orgId", "createdByUserId", "config.agent_name", "config.agent_description", "beside")),
    *((KEYED, path) for path in ("agent_id", "name", "tools", "x", "updatedAt", "versions", "config")),
]  # fmt: skip


def places(request: pytest.FixtureRequest) -> list[tuple[Any, tuple[dict[str, Any], str]]]:
    """Values and their places: every second value, and each place; with --soak all pairs."""
    if request.config.getoption("--soak"):
        return list(product(VALUES, PLACES))
    return list(zip(VALUES[::2], cycle(PLACES), strict=False))


def test_any_value_in_any_field(connection: Connection, request: pytest.FixtureRequest) -> None:
    chosen = Settings(chatstore=ChatstoreSettings(agents=AgentSettings(collection="agents")))
    store = MongoAgentStore(connection, chosen, server_now=lambda: NOW)
    registry, resolver = AgentRegistryService(store), AgentConfigResolverService(store)
    registry.create_agent("ordinary")
    stored = connection.collection("agents")
    for value, (document, path) in places(request):
        agent_id = ObjectId()
        own_key = {"agent_id": str(agent_id)} if document is KEYED else {}
        try:
            stored.insert_one(with_value({"_id": agent_id, **document, **own_key}, path, value))
        except (pymongo.errors.WriteError, OverflowError):  # the server rejects a value in an array that is an `_id`
            continue
    seen: list[Agent] = []
    cursor: str | None = None
    while True:
        page = registry.list_agents(limit=50, cursor=cursor)
        registry.list_agents(limit=50, cursor=cursor, with_config=False)
        seen += page.agents
        if (cursor := page.next_cursor) is None:
            break
    ids = [agent.agent_id for agent in seen]
    assert len(ids) == len(set(ids))
    assert len(ids) > len(VALUES) / 3
    deleted = registry.list_agents(deleted=True, limit=200).agents
    assert all(agent.deleted_at is not None or agent.config for agent in deleted)
    for agent in seen:
        json.dumps(dict(agent.config))
        before = stored.find_one({"_id": ObjectId(agent.agent_id)})
        assert before is not None
        assert repr(registry.get_agent(agent.agent_id).config) == repr(agent.config)
        change(registry, resolver, agent)
        after = stored.find_one({"_id": ObjectId(agent.agent_id)})
        assert after is not None
        untouched = set(before) - {"config", "versions", "updatedAt", "name", "changed"}
        assert {name: repr(before[name]) for name in untouched} == {name: repr(after[name]) for name in untouched}


def change(registry: AgentRegistryService, resolver: AgentConfigResolverService, agent: Agent) -> None:
    """Make every call for one agent. Only errors of chatstore are expected."""
    shown = masked_config(agent.config)
    for call in (
        lambda: resolver.resolve(agent.agent_id, {"x": 1}),
        lambda: registry.update_agent(agent.agent_id, config=shown),
        lambda: registry.update_agent(agent.agent_id, config={**shown, "changed": 1}),
        lambda: registry.update_agent(agent.agent_id, name="b"),
        lambda: [registry.get_version(agent.agent_id, each.version_id) for each in registry.history(agent.agent_id)],
        lambda: registry.activate(agent.agent_id, registry.history(agent.agent_id)[-1].version_id),
        lambda: registry.upsert_keyed_agent(agent.key or "none", {"changed": 1}) if agent.key else None,
    ):
        try:
            call()
        except ChatstoreError as error:
            assert type(error) is not ChatstoreError, error  # not an error that nobody expects
