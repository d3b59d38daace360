"""The saved agents of an application: the registry, and the configurations with which calls begin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from chatstore_cli.core.agents import registry, resolver
from chatstore_cli.core.agents.resolver import TOOLS, ResolvedConfig
from chatstore_cli.core.agents.secrets import MASK, masked_config
from chatstore_cli.core.agents.versions import Difference
from chatstore_cli.domain.agents.models import Agent, AgentPage, AgentPurge, AgentVersion
from chatstore_cli.library.connected import Connected, given_settings, settings_of_file
from chatstore_cli.wiring.agents import agent_store, create_missing_agent_indexes

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


class AgentRegistryService(Connected, registry.AgentRegistryService):
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
        settings = given_settings(
            uri, database, timeout_seconds, write_concern=write_concern, journaled=journaled, collection=collection
        )
        self._connect(settings)

    def _begin(self) -> None:
        registry.AgentRegistryService.__init__(self, self._on_first_use(agent_store))

    def ensure_indexes(self) -> list[str]:
        """Create the missing indexes. Returns one line per index that was created, or was not created, with the reason.

        Without the indexes, a list reads the whole collection. Raises Unreachable, NotAllowed, ForeignCollection.
        """
        return create_missing_agent_indexes(self._stores)


class AgentConfigResolverService(Connected, resolver.AgentConfigResolverService):
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
        self._tools, self._derived_fields = tuple(tools), derived_fields
        self._connect(given_settings(uri, database, timeout_seconds, collection=collection))

    @classmethod
    def from_config(
        cls, config_file: str | None = None, *, tools: Sequence[str] = TOOLS, derived_fields: bool = False
    ) -> Self:
        """The agents of chatstore's configuration (mongo, chatstore.agents). Raises BadConfig."""
        service = cls.__new__(cls)
        service._tools, service._derived_fields = tuple(tools), derived_fields
        service._connect(settings_of_file(config_file))
        return service

    def _begin(self) -> None:
        store, tools = self._on_first_use(agent_store), self._tools
        resolver.AgentConfigResolverService.__init__(self, store, tools=tools, derived_fields=self._derived_fields)
