"""Saved agents in a collection of a MongoDB database, each with its versions in one document."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from bson import ObjectId

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.agents.versions import newest_first
from chatstore_cli.core.retry import attempt_until_done
from chatstore_cli.domain.agents.models import (
    Agent,
    AgentContent,
    AgentCursor,
    AgentPage,
    AgentPurge,
    AgentQuery,
    AgentVersion,
    NewAgent,
)
from chatstore_cli.domain.errors import Conflict
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.domain.times import Clock
from chatstore_cli.mongo.agents.collection import PLATFORM_COLLECTION
from chatstore_cli.mongo.agents.database import AgentDatabase
from chatstore_cli.mongo.agents.documents import FIELDS, IS_DELETED, new_document, of_tenant, to_agent, to_version
from chatstore_cli.mongo.agents.index_specs import agent_index_specs, version_index_spec
from chatstore_cli.mongo.agents.keyed import find_keyed, upsert_keyed
from chatstore_cli.mongo.agents.listing import newest_agents, page_of, stream_of
from chatstore_cli.mongo.agents.own_agents import PLATFORM_AGENTS
from chatstore_cli.mongo.agents.removal import count_purge, purge
from chatstore_cli.mongo.agents.versions import (
    Update,
    activation_of,
    all_entries,
    entries_of,
    present_entry,
    unchanged_since,
    update_to,
)
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.identifiers import id_text
from chatstore_cli.mongo.server_clock import ServerClock


class MongoAgentStore:
    """An AgentStore. Every change is one update of one document, which is repeated if another writer was first."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        *,
        patient: Connection | None = None,
        server_now: Clock | None = None,
    ) -> None:
        """`patient` is a connection without a time limit, for building indexes."""
        now = server_now or ServerClock(connection, warn=lambda _: None).now
        self._database = AgentDatabase(connection, patient or connection, settings.chatstore.agents, now)

    @property
    def collection(self) -> str:
        return self._database.name

    def index_specs(self) -> list[IndexSpec]:
        """The indexes of agents and their versions. Raises ForeignCollection if the collection has another product's."""
        self._database.require_writable()
        return [*agent_index_specs(self.collection), version_index_spec(self._database.archive.name)]

    def page(self, query: AgentQuery, after: AgentCursor | None, limit: int) -> AgentPage:
        return page_of(self._database, query, after, limit)

    def stream(self, query: AgentQuery, after: AgentCursor | None, limit: int) -> Iterator[Agent]:
        return stream_of(self._database, query, after, limit)

    def find(
        self, agent_id: str, tenant_id: str | None, *, deleted: bool = False, with_version: bool = True
    ) -> Agent | None:
        fields: dict[str, Any] = {**FIELDS, "versions": {"$elemMatch": {"active": True}}} if with_version else FIELDS
        found = self._find(agent_id, tenant_id, fields, deleted=deleted)
        if found is None:
            return None
        return to_agent(found, _present_id(found) if with_version else "")

    def insert(self, agent: NewAgent) -> Agent:
        self._database.require_writable()
        agents = self._database.agents
        with driver_errors(f"creating an agent in {agents.name}"):
            newest = next(newest_agents(self._database, {"name": 1}, limit=1), None)
            in_config = agents.name == PLATFORM_COLLECTION if newest is None else "name" not in newest
            document = new_document(agent, self._database.now(), names_in_config=in_config)
            agents.insert_one(document)
        return to_agent(document, _present_id(document))

    def change(
        self, agent_id: str, tenant_id: str | None, decide: Callable[[Agent], AgentContent | None]
    ) -> Agent | None:
        def update(document: Document) -> Update | None:
            agent = to_agent(document, _present_id(document))
            content = decide(agent)
            if content is None:
                return None
            now = self._database.later_than(document.get("updatedAt"))
            return update_to(document, agent, content, now=now)

        return self._update(agent_id, tenant_id, update)

    def activate(self, agent_id: str, tenant_id: str | None, version_id: str) -> Agent | None:
        def activation(document: Document) -> Update | None:
            is_embedded = any(id_text(entry.get("versionId", "")) == version_id for entry in all_entries(document))
            archived = None if is_embedded else self._database.archive.find(document["_id"], version_id)
            now = self._database.later_than(document.get("updatedAt"))
            return activation_of(document, version_id, archived, now=now)

        try:
            return self._update(agent_id, tenant_id, activation)
        except KeyError:
            return None

    def history(self, agent_id: str, tenant_id: str | None, limit: int) -> list[AgentVersion] | None:
        document = self._find(agent_id, tenant_id)
        if document is None:
            return None
        return self._history(document, [{**entry, "config": None} for entry in all_entries(document)], limit)[:limit]

    def versions(self, agent_id: str, tenant_id: str | None, limit: int) -> Iterator[AgentVersion] | None:
        document = self._find(agent_id, tenant_id)
        if document is None:
            return None
        found = self._history(document, all_entries(document), limit)
        shown = (version for place, version in enumerate(found) if place < limit or not version.archived)
        return (self._with_config(document["_id"], version) for version in shown)

    def _with_config(self, agent_id: ObjectId, version: AgentVersion) -> AgentVersion:
        archived = self._database.archive.find(agent_id, version.version_id) if version.archived else None
        return version if archived is None else to_version(archived, archived=True)

    def _history(self, document: Document, entries: list[Document], limit: int) -> list[AgentVersion]:
        """The versions of these entries and the newest archived ones, which have no configurations; the newest first."""
        versions = [to_version(entry) for entry in entries]
        embedded = {version.version_id for version in versions}
        archived = self._database.archive.newest(document["_id"], limit + len(embedded))
        # Of equal times, the later place is newer, so the older versions come first.
        versions = [*(each for each in reversed(archived) if each.version_id not in embedded), *versions]
        return [versions[place] for place in newest_first([version.created_at for version in versions])]

    def version(self, agent_id: str, tenant_id: str | None, version_id: str) -> AgentVersion | None:
        document = self._find(agent_id, tenant_id)
        if document is None:
            return None
        for entry in all_entries(document):
            if id_text(entry.get("versionId", "")) == version_id:
                return to_version(entry)
        archived = self._database.archive.find(document["_id"], version_id)
        return None if archived is None else to_version(archived, archived=True)

    def mark_deleted(self, agent_id: str, tenant_id: str | None) -> bool:
        self._database.require_writable()
        agents = self._database.agents
        with driver_errors(f"deleting agent {agent_id} in {agents.name}"):
            change = {"$set": {"deletedAt": self._database.now()}}
            return agents.update_one(_selected(agent_id, tenant_id), change).matched_count > 0

    def restore(self, agent_id: str, tenant_id: str | None) -> Agent | None:
        self._database.require_writable()
        agents = self._database.agents
        with driver_errors(f"restoring agent {agent_id} in {agents.name}"):
            condition = _selected(agent_id, tenant_id, deleted=True)
            if agents.update_one(condition, {"$set": {"deletedAt": None}}).matched_count == 0:
                return None
        return self.find(agent_id, tenant_id)

    def count_purge(self, agent_id: str | None, tenant_id: str | None, deleted_before: datetime | None) -> AgentPurge:
        return count_purge(self._database, agent_id, tenant_id, deleted_before)

    def purge(self, agent_id: str | None, tenant_id: str | None, deleted_before: datetime | None) -> AgentPurge:
        return purge(self._database, agent_id, tenant_id, deleted_before)

    def find_keyed(self, key: str, tenant_id: str | None) -> Agent | None:
        return find_keyed(self._database, key, tenant_id)

    def upsert_keyed(
        self, key: str, tenant_id: str | None, decide: Callable[[Agent | None], Mapping[str, Any]]
    ) -> Agent:
        return upsert_keyed(self._database, key, tenant_id, decide)

    def _find(
        self, agent_id: str, tenant_id: str | None, fields: Mapping[str, Any] | None = None, *, deleted: bool = False
    ) -> Document | None:
        """The document of an agent of the platform."""
        agents = self._database.agents
        with driver_errors(f"looking up agent {agent_id} in {agents.name}"):
            found = agents.find_one(_addressed(agent_id, tenant_id, deleted=deleted), fields)
        # Compared here: as a part of the condition it would take a fifth of the time of the look-up.
        return found if found is not None and PLATFORM_AGENTS.matches(found) else None

    def _update(
        self, agent_id: str, tenant_id: str | None, update: Callable[[Document], Update | None]
    ) -> Agent | None:
        """The agent after an update, which is computed again from the agent until no other writer was first."""
        self._database.require_writable()
        agents = self._database.agents
        doing = f"changing agent {agent_id} in {agents.name}"
        selected = _selected(agent_id, tenant_id)

        def attempt() -> tuple[Agent | None] | None:
            document = agents.find_one(selected)
            if document is None:
                return (None,)
            wanted = update(document)
            if wanted is None:
                return (to_agent(document, _present_id(document)),)
            self._database.archive.add(document, wanted.archived)
            condition = {**selected, **unchanged_since(document)}
            if agents.update_one(condition, {"$set": wanted.fields}).matched_count == 0:
                return None
            changed = {**document, **wanted.fields}
            return (to_agent(changed, _present_id(changed)),)

        def failure() -> Conflict:
            return Conflict(what=f"{doing}: other writers changed it each time.", hint="Run the command again.")

        with driver_errors(doing):
            return attempt_until_done(attempt, failure)[0]


def _selected(agent_id: str, tenant_id: str | None, *, deleted: bool = False) -> Document:
    """The condition of a command that changes an agent of the platform."""
    return {**_addressed(agent_id, tenant_id, deleted=deleted), **PLATFORM_AGENTS.filter()}


def _addressed(agent_id: str, tenant_id: str | None, *, deleted: bool = False) -> Document:
    return {"_id": ObjectId(agent_id), "deletedAt": IS_DELETED if deleted else None, **of_tenant(tenant_id)}


def _present_id(document: Mapping[str, Any]) -> str:
    return id_text(present_entry(document, entries_of(document)).get("versionId", ""))
