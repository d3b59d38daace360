"""The port of saved agents. AgentRegistryService and AgentConfigResolverService (core/agents/) are written against it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

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


class AgentStore(Protocol):
    """Saved agents in one database. core/agents/ has checked all values.

    `tenant_id` is a condition of the command that reads or writes: a tenant's agents have it, and an agent without a tenant
    is nobody's. None is the operator, who may use all agents. `agent_id` is 24 hexadecimal digits. A deleted agent is
    treated like one that does not exist, unless a method says otherwise. Configurations consist of JSON values.

    Methods raise Unreachable, NotAllowed, and ForeignCollection if the collection holds mainly documents of another product.
    """

    @property
    def collection(self) -> str:
        """The collection of agents. Raises ForeignCollection or Conflict if none can be chosen."""

    def page(self, query: AgentQuery, after: AgentCursor | None, limit: int) -> AgentPage:
        """At most `limit` agents after a position, the newest change first, equal ones in descending order of their ids."""

    def stream(self, query: AgentQuery, after: AgentCursor | None, limit: int) -> Iterator[Agent]:
        """The agents of that page, read as they are asked for."""

    def find(
        self, agent_id: str, tenant_id: str | None, *, deleted: bool = False, with_version: bool = True
    ) -> Agent | None:
        """The agent; None if it does not exist. With `deleted`, a deleted one; otherwise only one that is not.

        `with_version` False leaves out `version_id`, and reads none of the versions.
        """

    def insert(self, agent: NewAgent) -> Agent:
        """Store a new agent. Its document has the shape of the newest one in the collection. Raises DocumentRefused."""

    def change(
        self, agent_id: str, tenant_id: str | None, decide: Callable[[Agent], AgentContent | None]
    ) -> Agent | None:
        """Store what `decide` makes of the agent as its new active version. Returns the changed agent; None without one.

        `decide` is called again if another writer changed the agent first. If it returns None or an equal state, nothing is
        written. Its errors are raised. A value equal to the stored one is written as it is stored, whatever its type.
        """

    def activate(self, agent_id: str, tenant_id: str | None, version_id: str) -> Agent | None:
        """Make a version the active one. Returns the changed agent; None if there is no such agent or version."""

    def history(self, agent_id: str, tenant_id: str | None, limit: int) -> list[AgentVersion] | None:
        """At most `limit` versions without their configurations, the newest first; None if the agent does not exist."""

    def versions(self, agent_id: str, tenant_id: str | None, limit: int) -> Iterator[AgentVersion] | None:
        """All versions in the agent's own document with their configurations, and archived ones up to `limit` in all.

        The newest first; None if the agent does not exist. Archived ones are read as they are asked for.
        """

    def version(self, agent_id: str, tenant_id: str | None, version_id: str) -> AgentVersion | None:
        """One version with its configuration."""

    def mark_deleted(self, agent_id: str, tenant_id: str | None) -> bool:
        """Delete an agent so that it can be restored. Returns whether it existed."""

    def restore(self, agent_id: str, tenant_id: str | None) -> Agent | None:
        """Undo a deletion. None if no deleted agent has the id."""

    def count_purge(self, agent_id: str | None, tenant_id: str | None, deleted_before: datetime | None) -> AgentPurge:
        """What `purge` would delete."""

    def purge(self, agent_id: str | None, tenant_id: str | None, deleted_before: datetime | None) -> AgentPurge:
        """Delete agents for good that are deleted, with their archived versions: one, or all; before an instant."""

    def find_keyed(self, key: str, tenant_id: str | None) -> Agent | None:
        """The agent that lyzr-agent stored under this `agent_id`. Its configuration is its document without its ids."""

    def upsert_keyed(
        self, key: str, tenant_id: str | None, decide: Callable[[Agent | None], Mapping[str, Any]]
    ) -> Agent:
        """Set fields of the agent of lyzr-agent with this key, as `decide` returns them, or store a new agent with them."""
