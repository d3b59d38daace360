"""The saved agents of an application: the registry, and the configurations with which calls begin."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Self, cast

from chatstore_cli.config.settings import MongoSettings, Settings
from chatstore_cli.core.agents import registry, resolver
from chatstore_cli.core.agents.resolver import TOOLS, ResolvedConfig
from chatstore_cli.core.agents.secrets import MASK, masked_config
from chatstore_cli.core.agents.versions import Difference
from chatstore_cli.domain.agents.models import Agent, AgentPage, AgentPurge, AgentVersion
from chatstore_cli.domain.agents.ports import AgentStore
from chatstore_cli.library.configured import configured_settings, with_values
from chatstore_cli.library.on_first_use import OnFirstUse
from chatstore_cli.wiring.agents import agent_store, create_missing_agent_indexes
from chatstore_cli.wiring.stores import Stores

__all__ = [
    "MASK",
    "TOOLS",
    "Agent",
    "AgentConfigResolverService",
    "AgentPage",
    "AgentPurge",
    "AgentRegistryService",
    "AgentVersion",
    "Difference",
    "ResolvedConfig",
    "masked_config",
]

_LOG = logging.getLogger("chatstore.agents")
_TIMEOUT_SECONDS = 5.0


class _Connected:
    """A service with a connection of its own, which its first call opens."""

    settings: Settings
    _stores: Stores
    _on_first_use: OnFirstUse

    def _connect(self, settings: Settings) -> AgentStore:
        self.settings = settings
        self._stores = stores = Stores(settings, say=_say, warn=_warn)
        self._on_first_use = OnFirstUse(lambda: agent_store(stores))
        return cast(AgentStore, self._on_first_use)

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """Limit the time of all operations inside: `with service.within(2): ...` raises Unreachable after two seconds.

        Without it, a call waits `timeout_seconds` for a server that is not found, and up to 30 seconds for an answer.
        """
        return self._stores.within(seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. A later use connects again."""
        self._on_first_use.forget()
        self._stores.close()


class AgentRegistryService(_Connected, registry.AgentRegistryService):
    """Lists, reads, creates and changes saved agents in MongoDB. It connects on first use, and is thread-safe."""

    def __init__(
        self,
        uri: str | None = None,
        database: str | None = None,
        *,
        collection: str | None = None,
        timeout_seconds: float | None = None,
        write_concern: str | None = None,
        journaled: bool | None = None,
    ) -> None:
        """Without a `uri`, whatever is None comes from chatstore's configuration, as in `from_config`.

        With a `uri`, no configuration is read, and what is None has its default: the database `chatstore`, the collection
        that chatstore finds, 5 seconds to find a server, and writes that a majority of the nodes has in its journals. `uri`
        can be `embedded`: a MongoDB that chatstore starts itself. Raises BadConfig and BadValue.
        """
        settings = _settings(uri, database, collection, timeout_seconds, write_concern, journaled)
        super().__init__(self._connect(settings))

    @classmethod
    def from_config(cls, config_file: str | None = None) -> Self:
        """The agents of chatstore's configuration (mongo, chatstore.agents). Raises BadConfig."""
        service = cls.__new__(cls)
        registry.AgentRegistryService.__init__(service, service._connect(configured_settings(config_file, _warn)))
        return service

    def ensure_indexes(self) -> list[str]:
        """Create the missing indexes. Returns one line per index that was created, or was not created, with the reason.

        Without the indexes, a list reads the whole collection. Raises Unreachable, NotAllowed, ForeignCollection.
        """
        return create_missing_agent_indexes(self._stores)


class AgentConfigResolverService(_Connected, resolver.AgentConfigResolverService):
    """Resolves the configurations of saved agents in MongoDB. It connects on first use, and is thread-safe."""

    def __init__(
        self,
        uri: str | None = None,
        database: str | None = None,
        *,
        collection: str | None = None,
        timeout_seconds: float | None = None,
        tools: Sequence[str] = TOOLS,
        derived_fields: bool = False,
    ) -> None:
        """Values that are None are as those of AgentRegistryService.

        `tools` are the ids of known tools: others are left out. With `derived_fields` a configuration has `lyzr_rag` and
        `agentic_rag` at its top too, as in the platform's first version. Raises BadConfig and BadValue.
        """
        settings = _settings(uri, database, collection, timeout_seconds, None, None)
        super().__init__(self._connect(settings), tools=tools, derived_fields=derived_fields)

    @classmethod
    def from_config(
        cls, config_file: str | None = None, *, tools: Sequence[str] = TOOLS, derived_fields: bool = False
    ) -> Self:
        """The agents of chatstore's configuration (mongo, chatstore.agents). Raises BadConfig."""
        service = cls.__new__(cls)
        store = service._connect(configured_settings(config_file, _warn))
        resolver.AgentConfigResolverService.__init__(service, store, tools=tools, derived_fields=derived_fields)
        return service


def _settings(
    uri: str | None,
    database: str | None,
    collection: str | None,
    timeout_seconds: float | None,
    write_concern: str | None,
    journaled: bool | None,
) -> Settings:
    if uri is None:
        settings = configured_settings(None, _warn)
    else:
        settings = Settings(mongo=MongoSettings(uri=uri, timeout_seconds=_TIMEOUT_SECONDS))
    mongo = with_values(
        settings.mongo,
        "mongo",
        database=database,
        timeout_seconds=timeout_seconds,
        write_concern=write_concern,
        journaled=journaled,
    )
    agents = with_values(settings.chatstore.agents, "chatstore.agents", collection=collection)
    return replace(settings, mongo=mongo, chatstore=replace(settings.chatstore, agents=agents))


def _say(text: str) -> None:
    _LOG.info("[AGENTS] %s", text)


def _warn(text: str) -> None:
    _LOG.warning("[AGENTS] %s", text)
