"""Deletes agents for good: only deleted ones, and only documents that have the shape of the platform's agents."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from bson import ObjectId

from chatstore_cli.domain.agents.models import AgentPurge
from chatstore_cli.mongo.agents.database import AgentDatabase
from chatstore_cli.mongo.agents.documents import IS_DELETED, of_tenant
from chatstore_cli.mongo.agents.own_agents import PLATFORM_AGENTS
from chatstore_cli.mongo.connection import Document, driver_errors

_AT_ONCE = 500


def count_purge(
    database: AgentDatabase, agent_id: str | None, tenant_id: str | None, deleted_before: datetime | None
) -> AgentPurge:
    """The deleted agents that `purge` would delete, and their archived versions."""
    agents = versions = 0
    for ids in _batches(database, _selected(agent_id, tenant_id, deleted_before)):
        agents += len(ids)
        versions += database.archive.count(ids)
    return AgentPurge(database.name, agents, database.archive.name, versions)


def purge(
    database: AgentDatabase, agent_id: str | None, tenant_id: str | None, deleted_before: datetime | None
) -> AgentPurge:
    """Delete agents and their archived versions, and return how many.

    The versions are deleted first: if this process is killed, a repetition finds the agent and deletes the rest.
    """
    database.require_writable()
    selected = _selected(agent_id, tenant_id, deleted_before)
    agents = versions = 0
    for ids in _batches(database, selected):
        versions += database.archive.remove(ids)
        with driver_errors(f"deleting agents of {database.name}"):
            agents += database.agents.delete_many({**selected, "_id": {"$in": ids}}).deleted_count
    return AgentPurge(database.name, agents, database.archive.name, versions)


def _selected(agent_id: str | None, tenant_id: str | None, deleted_before: datetime | None) -> Document:
    # `deletedAt` is a date: a missing or null one never meets the condition.
    before = {} if deleted_before is None else {"$lt": deleted_before}
    return {
        **({} if agent_id is None else {"_id": ObjectId(agent_id)}),
        "deletedAt": {**IS_DELETED, **before},
        **of_tenant(tenant_id),
        **PLATFORM_AGENTS.filter(),
    }


def _batches(database: AgentDatabase, selected: Document) -> Iterator[list[ObjectId]]:
    with driver_errors(f"looking for deleted agents in {database.name}"):
        found = (document["_id"] for document in database.agents.find(selected, {"_id": 1}))
        while ids := list(islice(found, _AT_ONCE)):
            yield ids
