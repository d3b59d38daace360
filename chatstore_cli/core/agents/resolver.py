"""The configuration with which a call begins: the stored one, the overrides of the caller, the tools, the knowledge base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chatstore_cli.core.agents.checks import checked_agent_id, checked_config, checked_owner
from chatstore_cli.core.agents.secrets import unmasked_config
from chatstore_cli.domain.agents.models import Agent
from chatstore_cli.domain.agents.ports import AgentStore
from chatstore_cli.domain.errors import AgentNotFound

KNOWLEDGE_BASE_TOOL = "search_knowledge_base"
TOOLS = (
    "get_weather",
    "search_wikipedia",
    "add_note",
    "list_notes",
    "call_sub_agent",
    KNOWLEDGE_BASE_TOOL,
)
"""The tools of the platform."""
_ALL_TOOLS = {"*", "all"}


@dataclass(frozen=True, slots=True)
class ResolvedConfig:
    """The configuration of one call, and whose it is. The id and the name are None without a stored agent."""

    agent_id: str | None
    name: str | None
    tenant_id: str | None
    config: dict[str, Any] = field(repr=False)


class AgentConfigResolverService:
    """Resolves configurations. It reads agents and changes nothing."""

    def __init__(self, store: AgentStore, *, tools: Sequence[str] = TOOLS, derived_fields: bool = False) -> None:
        """`tools` are the ids of known tools: others are left out.

        With `derived_fields` the configuration has `lyzr_rag` and `agentic_rag` at its top too, as in the platform's first
        version.
        """
        self._store = store
        self._tools = tuple(tools)
        self._derived_fields = derived_fields

    def resolve(
        self,
        agent_id: str | None,
        overrides: Mapping[str, Any] | None = None,
        *,
        tenant_id: str | None = None,
    ) -> ResolvedConfig:
        """The configuration of an agent with the overrides on top. `agent_id` None: the overrides alone.

        A mask in the overrides means the stored value. Raises InvalidAgent before anything is looked up, and AgentNotFound.
        """
        tenant_id = checked_owner(tenant_id, "tenant_id")
        agent_id = None if agent_id is None else checked_agent_id(agent_id)
        changes = checked_config({} if overrides is None else overrides, "overrides")
        agent = None if agent_id is None else self._stored(agent_id, tenant_id)
        stored = {} if agent is None else agent.config
        merged = merged_config(stored, unmasked_config(changes, stored, "overrides"))
        config = with_runtime_fields(merged, self._tools, derived_fields=self._derived_fields)
        if agent is None:
            return ResolvedConfig(None, None, tenant_id, config)
        return ResolvedConfig(agent.agent_id, agent.name, agent.tenant_id, config)

    def _stored(self, agent_id: str, tenant_id: str | None) -> Agent:
        agent = self._store.find(agent_id, tenant_id, with_version=False)
        if agent is None:
            agent = self._store.find_keyed(agent_id, tenant_id)
        if agent is None:
            raise AgentNotFound(agent_id=agent_id)
        return agent


def merged_config(stored: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """A new configuration: `overrides` on top of `stored`.

    If both have an object under a key, the objects are merged. Everything else is replaced, lists too, and null replaces
    a value.
    """
    merged = {key: copied(item) for key, item in stored.items()}
    for key, item in overrides.items():
        kept = stored.get(key)
        is_object = isinstance(kept, Mapping) and isinstance(item, Mapping)
        merged[key] = merged_config(kept, item) if is_object else copied(item)  # type: ignore[arg-type]  # kept is a Mapping
    return merged


def with_runtime_fields(config: Mapping[str, Any], tools: Sequence[str], *, derived_fields: bool) -> dict[str, Any]:
    """The configuration with the tools of the call, and with the fields that are derived from its knowledge base."""
    knowledge_base = config.get("knowledge_base")
    is_on = isinstance(knowledge_base, Mapping) and knowledge_base.get("enabled") is True
    resolved = {**config, "tools": normalized_tools(config.get("tools"), tools, with_knowledge_base=is_on)}
    if derived_fields and is_on and isinstance(knowledge_base, Mapping):
        if (lyzr_rag := knowledge_base.get("lyzr_rag")) is not None:
            resolved["lyzr_rag"] = copied(lyzr_rag)
        agentic_rag = knowledge_base.get("agentic_rag")
        resolved["agentic_rag"] = [] if agentic_rag is None else copied(agentic_rag)
    return resolved


def normalized_tools(given: Any, known: Sequence[str], *, with_knowledge_base: bool) -> list[str]:
    """The ids of the tools of a call: known ones in the given order, each once.

    `*` or `all` is every known tool but the knowledge base's. That one is added if the knowledge base is on.
    """
    names = [name for name in given if isinstance(name, str)] if isinstance(given, list) else []
    if any(name.strip().lower() in _ALL_TOOLS for name in names):
        names = [name for name in known if name != KNOWLEDGE_BASE_TOOL]
    if with_knowledge_base:
        names.append(KNOWLEDGE_BASE_TOOL)
    return list(dict.fromkeys(name for name in names if name in known))


def copied(value: Any) -> Any:
    """A copy of a JSON value that shares no object or list with it."""
    if isinstance(value, Mapping):
        return {key: copied(item) for key, item in value.items()}
    return [copied(item) for item in value] if isinstance(value, list) else value
