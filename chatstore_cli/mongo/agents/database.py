"""The collection of agents: which one it is, how it is read, and the checks before a write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from pymongo.collection import Collection

from chatstore_cli.config.settings import AgentSettings
from chatstore_cli.domain.times import Clock, to_milliseconds
from chatstore_cli.mongo.agents.archive import VersionArchive
from chatstore_cli.mongo.agents.collection import chosen_collection
from chatstore_cli.mongo.agents.index_specs import agent_index_specs
from chatstore_cli.mongo.agents.own_agents import OWN_AGENTS
from chatstore_cli.mongo.bson_values import stored_instant
from chatstore_cli.mongo.collections import acknowledged_collection
from chatstore_cli.mongo.connection import Connection, Document
from chatstore_cli.mongo.foreign_documents import require_writable
from chatstore_cli.mongo.maintenance.index_store import MongoIndexStore

_TICK = timedelta(milliseconds=1)
_LATEST = datetime.max.replace(tzinfo=UTC) - _TICK


class AgentDatabase:
    """The collection of agents and the archive of their versions, read from the primary."""

    def __init__(self, connection: Connection, patient: Connection, settings: AgentSettings, now: Clock) -> None:
        """`patient` is a connection without a time limit, for building indexes. `now` is the server's clock."""
        self.connection = connection.reading_from_primary()
        self._settings = settings
        self._now = now
        self._indexes = MongoIndexStore(self.connection, patient)
        self.archive = VersionArchive(self.connection, settings.versions, self._indexes)

    @cached_property
    def name(self) -> str:
        """The name of the collection. Raises Conflict and ForeignCollection."""
        return chosen_collection(self.connection, self._settings)

    @cached_property
    def agents(self) -> Collection[Document]:
        """The collection."""
        return acknowledged_collection(self.connection, self.name)

    @property
    def not_deleted(self) -> Any:
        """The condition on `deletedAt` of the platform's agents that are not deleted, for lists: one point of an index.

        None would be two, null and undefined, whose ranges the server sorts in memory.
        """
        return None if self.connection.in_memory else {"$type": "null"}  # mongomock does not know this type

    def require_writable(self) -> None:
        """Raise unless agents can be stored. A collection that does not exist yet is created with its indexes."""
        facts = require_writable(self.connection, self.name, OWN_AGENTS)
        if not facts.exists:
            self._indexes.create_if_allowed(agent_index_specs(self.name))

    def now(self) -> datetime:
        """The server's time in whole milliseconds."""
        return to_milliseconds(self._now())

    def later_than(self, stored: object) -> datetime:
        """The server's time, or the millisecond after a stored time, so that each change has a time of its own."""
        now, changed_at = self.now(), stored_instant(stored)
        if changed_at is None or changed_at < now or changed_at > _LATEST:
            return now
        return changed_at + _TICK
