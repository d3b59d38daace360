"""The versions that are no longer in the documents of their agents: one document each, in a collection of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import bson
import pymongo.errors as driver
from bson import ObjectId

from chatstore_cli.domain.agents.models import AgentVersion
from chatstore_cli.mongo.agents.documents import to_version
from chatstore_cli.mongo.agents.index_specs import version_index_spec
from chatstore_cli.mongo.agents.own_agents import OWN_VERSIONS
from chatstore_cli.mongo.collections import acknowledged_collection, collection_facts, require_exact_ids
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.error_codes import DUPLICATE_KEY
from chatstore_cli.mongo.foreign_documents import require_own
from chatstore_cli.mongo.identifiers import id_text
from chatstore_cli.mongo.maintenance.index_store import MongoIndexStore

_AGENTS_AT_ONCE = 500


class VersionArchive:
    """Archived versions. The `_id` of a document is made from the agent and the version, so it is stored once."""

    def __init__(self, connection: Connection, name: str, indexes: MongoIndexStore) -> None:
        self._connection = connection
        self.name = name
        self._indexes = indexes
        self._documents = acknowledged_collection(connection, name)

    def add(self, agent: Document, entries: Sequence[Document]) -> None:
        """Copy entries of an agent. Those that are archived already are left as they are."""
        if not entries:
            return
        require_exact_ids(self._connection, self.name)
        require_own(self._connection, self.name, OWN_VERSIONS)
        if not collection_facts(self._connection, self.name).exists:
            self._indexes.create_if_allowed([version_index_spec(self.name)])
        documents = [_archived(agent, entry) for entry in entries]
        with driver_errors(f"archiving versions of agent {agent['_id']} in {self.name}"):
            try:
                self._documents.insert_many(documents, ordered=False)
            except driver.BulkWriteError as error:
                failures = (error.details or {}).get("writeErrors", [])
                if not failures or any(failure.get("code") != DUPLICATE_KEY for failure in failures):
                    raise

    def newest(self, agent_id: ObjectId, limit: int) -> list[AgentVersion]:
        """The newest archived versions of an agent, without their configurations."""
        with driver_errors(f"listing versions of agent {agent_id} in {self.name}"):
            found = self._documents.find({"agentId": agent_id, **OWN_VERSIONS.filter()}, {"config": 0})
            return [to_version(each, archived=True) for each in found.sort([("createdAt", -1)]).limit(limit)]

    def find(self, agent_id: ObjectId, version_id: str) -> Document | None:
        """The document of an archived version."""
        condition = {"_id": _identity(agent_id, version_id), **OWN_VERSIONS.filter()}
        with driver_errors(f"looking up version {version_id} of agent {agent_id} in {self.name}"):
            return self._documents.find_one(condition)

    def count(self, agent_ids: Sequence[ObjectId]) -> int:
        """How many archived versions these agents have."""
        with driver_errors(f"counting versions in {self.name}"):
            return sum(self._documents.count_documents(each) for each in _of_agents(agent_ids))

    def remove(self, agent_ids: Sequence[ObjectId]) -> int:
        """Delete the archived versions of agents, and return how many."""
        with driver_errors(f"deleting versions in {self.name}"):
            return sum(self._documents.delete_many(each).deleted_count for each in _of_agents(agent_ids))


def _archived(agent: Document, entry: Document) -> Document:
    if "versionId" not in entry:
        entry = {"versionId": str(uuid5(NAMESPACE_OID, bson.encode(entry).hex())), **entry}
    tenant = {"orgId": agent["orgId"]} if "orgId" in agent else {}
    identity = _identity(agent["_id"], id_text(entry["versionId"]))
    return {"_id": identity, "agentId": agent["_id"], **tenant, **entry}


def _identity(agent_id: ObjectId, version_id: str) -> str:
    return f"{agent_id}:{version_id}"


def _of_agents(agent_ids: Sequence[ObjectId]) -> list[dict[str, Any]]:
    parts = range(0, len(agent_ids), _AGENTS_AT_ONCE)
    return [
        {"agentId": {"$in": list(agent_ids[first : first + _AGENTS_AT_ONCE])}, **OWN_VERSIONS.filter()}
        for first in parts
    ]
