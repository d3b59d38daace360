"""The awaitable faces of saved agents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chatstore_cli.aio.connected import ConnectedFace
from chatstore_cli.aio.face import arguments_of, awaitable
from chatstore_cli.library import agents
from chatstore_cli.library.agents import TOOLS

_Registry = agents.AgentRegistryService
_Resolver = agents.AgentConfigResolverService


class AgentRegistryService(ConnectedFace[agents.AgentRegistryService]):
    """`chatstore_cli.AgentRegistryService` for an event loop. Up to 16 calls are made at a time, in no order."""

    @arguments_of(_Registry)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._open(_Registry(*args, **kwargs))

    @classmethod
    def from_config(cls, config_file: str | None = None) -> AgentRegistryService:
        """The agents of chatstore's configuration (mongo, chatstore.agents). Raises BadConfig."""
        return cls._of(_Registry.from_config(config_file))

    collection_name = awaitable(_Registry.collection_name)
    list_agents = awaitable(_Registry.list_agents)
    get_agent = awaitable(_Registry.get_agent)
    create_agent = awaitable(_Registry.create_agent)
    update_agent = awaitable(_Registry.update_agent)
    replace_config = awaitable(_Registry.replace_config)
    edit_agent = awaitable(_Registry.edit_agent)
    delete_agent = awaitable(_Registry.delete_agent)
    restore_agent = awaitable(_Registry.restore_agent)
    plan_purge = awaitable(_Registry.plan_purge)
    purge = awaitable(_Registry.purge)
    history = awaitable(_Registry.history)
    versions = awaitable(_Registry.versions)
    get_version = awaitable(_Registry.get_version)
    diff = awaitable(_Registry.diff)
    activate = awaitable(_Registry.activate)
    get_keyed_agent = awaitable(_Registry.get_keyed_agent)
    upsert_keyed_agent = awaitable(_Registry.upsert_keyed_agent)
    ensure_indexes = awaitable(_Registry.ensure_indexes)


class AgentConfigResolverService(ConnectedFace[agents.AgentConfigResolverService]):
    """`chatstore_cli.AgentConfigResolverService` for an event loop. Up to 16 calls are made at a time, in no order."""

    @arguments_of(_Resolver)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._open(_Resolver(*args, **kwargs))

    @classmethod
    def from_config(
        cls, config_file: str | None = None, *, tools: Sequence[str] = TOOLS, derived_fields: bool = False
    ) -> AgentConfigResolverService:
        """The agents of chatstore's configuration (mongo, chatstore.agents). Raises BadConfig."""
        return cls._of(_Resolver.from_config(config_file, tools=tools, derived_fields=derived_fields))

    resolve = awaitable(_Resolver.resolve)
