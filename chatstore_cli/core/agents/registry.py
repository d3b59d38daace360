"""The registry of saved agents: its rules over any AgentStore."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from chatstore_cli.core.agents.checks import (
    checked_agent_id,
    checked_config,
    checked_description,
    checked_key,
    checked_limit,
    checked_name,
    checked_owner,
    checked_version_id,
)
from chatstore_cli.core.agents.content import DESCRIPTION, NAME, next_content
from chatstore_cli.core.agents.resolver import copied
from chatstore_cli.core.agents.secrets import unmasked_config
from chatstore_cli.core.agents.streams import versions_of
from chatstore_cli.core.agents.versions import Difference, differences
from chatstore_cli.domain.agents.models import (
    UNCHANGED,
    Agent,
    AgentContent,
    AgentCursor,
    AgentPage,
    AgentPurge,
    AgentQuery,
    AgentVersion,
    NewAgent,
    Unchanged,
)
from chatstore_cli.domain.agents.ports import AgentStore
from chatstore_cli.domain.errors import (
    AgentChanged,
    AgentNotFound,
    AgentVersionNotFound,
    BadValue,
    ChatstoreError,
    Conflict,
)

_MOST_LISTED = 10_000


class AgentRegistryService:
    """Lists, reads, creates and changes saved agents.

    `tenant_id` is the tenant of the caller, who sees its own agents only. None is the operator, who sees all agents. An
    agent of another tenant is treated exactly like one that does not exist. Configurations are returned with their secrets;
    core/agents/secrets.py: `masked_config` masks them. A mask that is passed in means the stored value.

    Methods raise InvalidAgent for a wrong value before anything is looked up, AgentNotFound, and the errors of the store.
    """

    def __init__(self, store: AgentStore) -> None:
        self._store = store

    def collection_name(self) -> str:
        """The collection of the agents. If the settings name none, the database is asked. Raises Conflict, ForeignCollection."""
        return self._store.collection

    def list_agents(
        self,
        *,
        tenant_id: str | None = None,
        user_id: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
        deleted: bool = False,
        with_config: bool = True,
    ) -> AgentPage:
        """A page of at most `limit` agents (1 to 200), the newest change first. `cursor` is the `next_cursor` of a page.

        With `deleted`, only deleted agents. `with_config` False leaves out all but the names. Raises BadValue.
        """
        query = AgentQuery(
            tenant_id=checked_owner(tenant_id, "tenant_id"),
            user_id=checked_owner(user_id, "user_id"),
            deleted=deleted,
            with_config=with_config,
        )
        after = None if cursor is None else AgentCursor.from_text(cursor)
        return self._store.page(query, after, checked_limit(limit))

    def get_agent(self, agent_id: str, *, tenant_id: str | None = None, deleted: bool = False) -> Agent:
        """An agent by its id, or by the key that lyzr-agent gave to it if that has the form of an id.

        With `deleted`, a deleted one. Raises AgentNotFound.
        """
        agent_id, tenant_id = checked_agent_id(agent_id), checked_owner(tenant_id, "tenant_id")
        agent = self._store.find(agent_id, tenant_id, deleted=deleted)
        if agent is None and not deleted:
            agent = self._store.find_keyed(agent_id, tenant_id)
        return _existing(agent, agent_id)

    def create_agent(
        self,
        name: str | None = None,
        *,
        description: str | None = None,
        config: Mapping[str, Any] | None = None,
        tenant_id: str | None = None,
        user_id: str | None = None,
    ) -> Agent:
        """Store a new agent. Without a `name`, `config.agent_name` is the name; `agent_description` likewise."""
        checked = unmasked_config(checked_config({} if config is None else config), {})
        if name is None and NAME in checked:
            name = checked[NAME] = checked_name(checked[NAME])
        if description is None:
            description = checked.get(DESCRIPTION)
        agent = NewAgent(
            name=checked_name("" if name is None else name),
            description=checked_description(description),
            config=checked,
            tenant_id=checked_owner(tenant_id, "tenant_id"),
            user_id=checked_owner(user_id, "user_id"),
        )
        return self._store.insert(agent)

    def update_agent(
        self,
        agent_id: str,
        *,
        name: str | Unchanged = UNCHANGED,
        description: str | Unchanged | None = UNCHANGED,
        config: Mapping[str, Any] | Unchanged = UNCHANGED,
        base_version: str | None = None,
        tenant_id: str | None = None,
    ) -> Agent:
        """Change an agent, and keep its former state as a version. The configuration is replaced as a whole.

        `base_version` is the version that the update was made from: AgentChanged if the agent is in another one. Without it,
        the update is applied to the present state. If nothing differs from the stored agent, nothing is written.
        """
        checked = config if config is UNCHANGED else checked_config(config)
        return self._changed(agent_id, tenant_id, name, description, base_version, lambda _: checked)

    def replace_config(self, agent_id: str, config: Mapping[str, Any], *, tenant_id: str | None = None) -> Agent:
        """As `update_agent`, with the name and the description that are in the configuration, wherever they are stored."""
        checked = checked_config(config)
        name = checked[NAME] = checked_name(checked.get(NAME, ""), f"config.{NAME}")
        description = checked_description(checked.get(DESCRIPTION), f"config.{DESCRIPTION}")

        def decide(agent: Agent) -> AgentContent | None:
            if agent.names_in_config:
                return next_content(agent, UNCHANGED, UNCHANGED, checked)
            return next_content(agent, name, description, checked)

        return self._change(checked_agent_id(agent_id), checked_owner(tenant_id, "tenant_id"), decide)

    def edit_agent(
        self,
        agent_id: str,
        edit: Callable[[dict[str, Any]], Mapping[str, Any]],
        *,
        name: str | Unchanged = UNCHANGED,
        description: str | Unchanged | None = UNCHANGED,
        base_version: str | None = None,
        tenant_id: str | None = None,
    ) -> Agent:
        """As `update_agent`, with the configuration that `edit` makes of the stored one, which it gets as a copy.

        `edit` is called again if another writer changed the agent first, so that the changes of both are stored.
        """

        def edited(agent: Agent) -> Mapping[str, Any]:
            return checked_config(edit(copied(agent.config)))

        return self._changed(agent_id, tenant_id, name, description, base_version, edited)

    def _changed(
        self,
        agent_id: str,
        tenant_id: str | None,
        name: str | Unchanged,
        description: str | Unchanged | None,
        base_version: str | None,
        config_of: Callable[[Agent], Mapping[str, Any] | Unchanged],
    ) -> Agent:
        agent_id, tenant_id = checked_agent_id(agent_id), checked_owner(tenant_id, "tenant_id")
        name = name if name is UNCHANGED else checked_name(name)
        description = description if description is UNCHANGED else checked_description(description)

        def decide(agent: Agent) -> AgentContent | None:
            if base_version is not None and agent.version_id != base_version:
                raise AgentChanged(
                    agent_id=agent_id,
                    version_id=agent.version_id,
                    base_version=base_version,
                    hint="Read the agent again and repeat the change: chatstore agents show.",
                )
            return next_content(agent, name, description, config_of(agent))

        return self._change(agent_id, tenant_id, decide)

    def _change(self, agent_id: str, tenant_id: str | None, decide: Callable[[Agent], AgentContent | None]) -> Agent:
        agent = self._store.change(agent_id, tenant_id, decide)
        if agent is None:
            raise self._missing(agent_id, tenant_id)
        return agent

    def delete_agent(self, agent_id: str, *, tenant_id: str | None = None) -> None:
        """Delete an agent so that it can be restored. Raises AgentNotFound if it is deleted already."""
        agent_id, tenant_id = checked_agent_id(agent_id), checked_owner(tenant_id, "tenant_id")
        if not self._store.mark_deleted(agent_id, tenant_id):
            raise self._missing(agent_id, tenant_id)

    def restore_agent(self, agent_id: str, *, tenant_id: str | None = None) -> Agent:
        """Undo the deletion of an agent. Raises AgentNotFound if no deleted agent has this id."""
        agent_id, tenant_id = checked_agent_id(agent_id), checked_owner(tenant_id, "tenant_id")
        agent = self._store.restore(agent_id, tenant_id)
        if agent is None:
            hint = f"No deleted agent has the id {agent_id!r}. To list them, run: chatstore agents list --deleted."
            raise AgentNotFound(agent_id=agent_id, hint=hint)
        return agent

    def plan_purge(
        self, agent_id: str | None = None, *, deleted_before: datetime | None = None, tenant_id: str | None = None
    ) -> AgentPurge:
        """What `purge` with the same arguments would delete for good. Raises AgentNotFound if no deleted agent has the id."""
        agent_id = None if agent_id is None else checked_agent_id(agent_id)
        tenant_id = checked_owner(tenant_id, "tenant_id")
        plan = self._store.count_purge(agent_id, tenant_id, deleted_before)
        if agent_id is not None and plan.agents == 0:
            hint = f"No deleted agent has the id {agent_id!r}. Delete it first: chatstore agents delete {agent_id}."
            raise AgentNotFound(agent_id=agent_id, hint=hint)
        return plan

    def purge(
        self, agent_id: str | None = None, *, deleted_before: datetime | None = None, tenant_id: str | None = None
    ) -> AgentPurge:
        """Delete agents for good that are deleted, with their versions: one, or all; only those deleted before an instant.

        Documents that are not agents of this platform are never deleted. Returns what was deleted.
        """
        agent_id = None if agent_id is None else checked_agent_id(agent_id)
        return self._store.purge(agent_id, checked_owner(tenant_id, "tenant_id"), deleted_before)

    def history(self, agent_id: str, *, tenant_id: str | None = None, limit: int = 1_000) -> list[AgentVersion]:
        """The versions of an agent without their configurations, the newest first: at most `limit`, up to 10,000.

        The present state is one of them, also of an agent that was never changed.
        """
        agent_id, tenant_id = checked_agent_id(agent_id), checked_owner(tenant_id, "tenant_id")
        if not 1 <= limit <= _MOST_LISTED:
            raise BadValue(name="--limit", value=limit, expected=f"from 1 to {_MOST_LISTED}")
        versions = self._store.history(agent_id, tenant_id, limit)
        if versions is None:
            raise AgentNotFound(agent_id=agent_id)
        return versions

    def versions(self, agent_id: str, *, tenant_id: str | None = None) -> list[AgentVersion]:
        """The versions of an agent with their configurations, the newest first.

        All that are in the agent's own document, and archived ones up to 100 in all. Raises AgentNotFound.
        """
        return list(versions_of(self._store, agent_id, tenant_id))

    def get_version(self, agent_id: str, version_id: str, *, tenant_id: str | None = None) -> AgentVersion:
        """One version with its configuration. Raises AgentVersionNotFound."""
        agent_id, tenant_id = checked_agent_id(agent_id), checked_owner(tenant_id, "tenant_id")
        version_id = checked_version_id(version_id)
        version = self._store.version(agent_id, tenant_id, version_id)
        if version is None:
            raise AgentVersionNotFound(agent_id=agent_id, version_id=version_id)
        return version

    def diff(
        self,
        agent_id: str,
        old_version: str,
        new_version: str | None = None,
        *,
        tenant_id: str | None = None,
        reveal: bool = False,
    ) -> list[Difference]:
        """How two versions differ; without a `new_version`, how the present state differs from the old one.

        Secrets are shown as a mask unless `reveal`.
        """
        old = self.get_version(agent_id, old_version, tenant_id=tenant_id)
        new: Agent | AgentVersion
        if new_version is None:
            new = self.get_agent(agent_id, tenant_id=tenant_id)
        else:
            new = self.get_version(agent_id, new_version, tenant_id=tenant_id)
        names: list[Difference] = []
        if old.name is not None and new.name is not None:
            sides = ({"name": each.name, "description": each.description} for each in (old, new))
            names = differences(*sides, path="", reveal=True)
        return [*names, *differences(old.config, new.config, reveal=reveal)]

    def activate(self, agent_id: str, version_id: str, *, tenant_id: str | None = None) -> Agent:
        """Make a version the state of the agent again. The present state stays in the history."""
        agent_id, tenant_id = checked_agent_id(agent_id), checked_owner(tenant_id, "tenant_id")
        version_id = checked_version_id(version_id)
        agent = self._store.activate(agent_id, tenant_id, version_id)
        if agent is None:
            raise AgentVersionNotFound(agent_id=agent_id, version_id=version_id)
        return agent

    def get_keyed_agent(self, key: str, *, tenant_id: str | None = None) -> Agent:
        """The agent that lyzr-agent stored under this `agent_id`, any text. Its configuration is its whole document."""
        key = checked_key(key)
        return _existing(self._store.find_keyed(key, checked_owner(tenant_id, "tenant_id")), key)

    def upsert_keyed_agent(self, key: str, data: Mapping[str, Any], *, tenant_id: str | None = None) -> Agent:
        """Set fields of the agent of lyzr-agent with this key, or store a new one. Other fields keep their values.

        These agents have no versions, because lyzr-agent stores their fields at the top of the document.
        """
        checked = checked_config(data, "data")
        for field in checked:
            if field in _RESERVED_FIELDS or field.startswith("$") or "." in field or not field:
                expected = "the name of a field of an agent of lyzr-agent"
                raise BadValue(name="data", value=field, expected=expected, hint="MongoDB or chatstore uses this name.")

        def decide(agent: Agent | None) -> Mapping[str, Any]:
            return unmasked_config(checked, {} if agent is None else agent.config, "data")

        return self._store.upsert_keyed(checked_key(key), checked_owner(tenant_id, "tenant_id"), decide)

    def _missing(self, agent_id: str, tenant_id: str | None) -> ChatstoreError:
        """Why an agent cannot be changed or deleted."""
        if self._store.find_keyed(agent_id, tenant_id) is None:
            return AgentNotFound(agent_id=agent_id)
        return Conflict(
            what=f"Agent {agent_id} was stored by lyzr-agent, which keeps no versions. Nothing was changed.",
            hint="Change it with upsert_keyed_agent, or in the application that stored it.",
        )


_RESERVED_FIELDS = frozenset(
    ("_id", "agent_id", "orgId", "createdByUserId", "deletedAt", "versions", "createdAt", "updatedAt", "__v")
)


def _existing(agent: Agent | None, agent_id: str) -> Agent:
    if agent is None:
        raise AgentNotFound(agent_id=agent_id)
    return agent
