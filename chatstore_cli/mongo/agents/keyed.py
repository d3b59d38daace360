"""Agents of lyzr-agent: documents with `agent_id`, whose fields are the configuration. They have no versions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

import pymongo.errors as driver
from bson import ObjectId

from chatstore_cli.core.agents.stored_values import restored
from chatstore_cli.core.retry import attempt_until_done
from chatstore_cli.domain.agents.models import Agent
from chatstore_cli.domain.errors import Conflict
from chatstore_cli.mongo.agents.database import AgentDatabase
from chatstore_cli.mongo.agents.documents import data_of, of_tenant, to_agent
from chatstore_cli.mongo.agents.own_agents import KEYED_AGENTS, PLATFORM_AGENTS
from chatstore_cli.mongo.bson_values import json_value
from chatstore_cli.mongo.connection import Document, driver_errors


def find_keyed(database: AgentDatabase, key: str, tenant_id: str | None) -> Agent | None:
    """The agent with this `agent_id`, or whose document has it as `_id`."""
    ids: list[Document] = [{"agent_id": key}]
    if re.fullmatch("[0-9a-f]{24}", key):
        ids.append({"_id": ObjectId(key)})
    with driver_errors(f"looking up agent {key!r} in {database.name}"):
        found = database.agents.find_one({"$or": ids, **only_keyed(tenant_id)})
    return None if found is None else to_agent(found)


def upsert_keyed(
    database: AgentDatabase, key: str, tenant_id: str | None, decide: Callable[[Agent | None], Mapping[str, Any]]
) -> Agent:
    """Set the fields that `decide` returns, or store a new agent with them.

    A new document has an `_id` that is computed from tenant and key, so that two writers at once store one document.
    """
    database.require_writable()
    agents = database.agents
    doing = f"storing agent {key!r} in {database.name}"

    def attempt() -> Agent | None:
        found = agents.find_one({"agent_id": key, **only_keyed(tenant_id)})
        data = decide(None if found is None else to_agent(found))
        if found is None:
            tenant = {} if tenant_id is None else {"orgId": tenant_id}
            document = {"_id": _identity(key, tenant_id), "agent_id": key, **tenant, **data}
            try:
                agents.insert_one(document)
            except driver.DuplicateKeyError:
                return None
            return to_agent(document)
        stored = data_of(found)
        fields = restored(dict(data), json_value(stored), stored)
        changed = {name: value for name, value in fields.items() if name not in stored or stored[name] is not value}
        if changed:
            unchanged = {name: {"$eq": stored[name]} if name in stored else {"$exists": False} for name in changed}
            condition = {"_id": found["_id"], **unchanged, **only_keyed(tenant_id)}
            if agents.update_one(condition, {"$set": changed}).matched_count == 0:
                return None
        return to_agent({**found, **changed})

    def failure() -> Conflict:
        return Conflict(what=f"{doing}: other writers changed the same document each time, or it is not an agent.")

    with driver_errors(doing):
        return attempt_until_done(attempt, failure)


def only_keyed(tenant_id: str | None) -> Document:
    """The condition for the agents of lyzr-agent. Whatever has the shape of the platform is an agent of the platform."""
    is_keyed = {"$and": [KEYED_AGENTS.filter(), {"$nor": [PLATFORM_AGENTS.filter()]}]}
    return {"deletedAt": None, **of_tenant(tenant_id), **is_keyed}


def _identity(key: str, tenant_id: str | None) -> ObjectId:
    return ObjectId(hashlib.sha256(f"{tenant_id or ''}\0{key}".encode()).digest()[:12])
