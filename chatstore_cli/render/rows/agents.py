"""Saved agents as rows, and the columns that show them.

The keys are the output of -o json: they change only with a line in the changelog. Configurations come with their secrets
masked, or as they are with --reveal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from chatstore_cli.domain.times import rfc3339
from chatstore_cli.render.json_text import as_json
from chatstore_cli.render.listing import Column, Listing, count

if TYPE_CHECKING:
    from chatstore_cli.domain.agents.models import Agent, AgentPurge, AgentVersion
    from chatstore_cli.domain.phone_numbers import RoutedCall


def agent_row(agent: Agent) -> dict[str, Any]:
    """One agent without its configuration. `key` is its id in lyzr-agent, null for all other agents."""
    return {
        "agent_id": agent.agent_id,
        "name": agent.name,
        "description": agent.description,
        "tenant_id": agent.tenant_id,
        "user_id": agent.user_id,
        "created_at": rfc3339(agent.created_at),
        "updated_at": rfc3339(agent.updated_at),
        "deleted_at": rfc3339(agent.deleted_at),
        "key": agent.key,
    }


def changed_agent_row(agent: Agent) -> dict[str, Any]:
    """One agent after a change, with the version that is active now."""
    return {**agent_row(agent), "version_id": agent.version_id or None}


def agent_view_row(agent: Agent, config: Mapping[str, Any]) -> dict[str, Any]:
    """One agent with its active version and configuration."""
    return {**changed_agent_row(agent), "config": config}


def version_row(version: AgentVersion) -> dict[str, Any]:
    """One version without its configuration. With `archived` it is no longer in the agent's document."""
    return {
        "version_id": version.version_id,
        "active": version.active,
        "created_at": rfc3339(version.created_at),
        "name": version.name,
        "description": version.description,
        "archived": version.archived,
    }


def version_view_row(agent_id: str, version: AgentVersion, config: Mapping[str, Any]) -> dict[str, Any]:
    """One version of an agent with its configuration."""
    return {"agent_id": agent_id, **version_row(version), "config": config}


def difference_row(path: str, kind: str, old: object, new: object) -> dict[str, Any]:
    """A value that two versions do not share. `change` is added, removed or changed."""
    return {"path": path.removeprefix("."), "change": kind, "old": old, "new": new}


def deleted_row(agent_id: str, numbers: Iterable[str], result: str) -> dict[str, Any]:
    """An agent that was deleted, or would be, with the phone numbers that are routed to it."""
    return {"agent_id": agent_id, "result": result, "numbers": list(numbers)}


def resolved_row(
    agent_id: str | None, name: str | None, tenant_id: str | None, config: Mapping[str, Any], **of_call: Any
) -> dict[str, Any]:
    """A resolved configuration, and whose it is. `of_call` is the row of a routed call."""
    return {"agent_id": agent_id, "name": name, "tenant_id": tenant_id, **of_call, "config": config}


def routed_row(call: RoutedCall) -> dict[str, Any]:
    """How a call to a phone number reaches its agent. `default`: the configured default agent answers."""
    return {
        "number": call.number,
        "default": call.is_default,
        "reason": call.reason.value,
        "binding_id": None if call.binding is None else call.binding.binding_id,
    }


def purge_row(purge: AgentPurge, result: str) -> dict[str, Any]:
    """How many documents were deleted for good, or would be."""
    return {
        "agents": purge.agents,
        "archived_versions": purge.versions,
        "collection": purge.collection,
        "result": result,
    }


def config_rows(values: Iterable[tuple[str, Any]]) -> list[dict[str, Any]]:
    """The values of a configuration under their paths."""
    return [{"path": path, "value": value} for path, value in values]


def config_listing(values: Iterable[tuple[str, Any]]) -> Listing:
    """The values of a configuration as a table."""
    return Listing(CONFIG_COLUMNS, config_rows(values), empty="The configuration is empty.")


def _value(value: Any) -> str:
    """A value as it is written in JSON, and a text without quotes unless it looks like another value."""
    if isinstance(value, str) and value and value not in _NO_TEXT and not value[0].isdigit() and value[0] != "-":
        return value
    return as_json(value, indented=False)


def _side(key: str, missing: str) -> Callable[[Mapping[str, Any]], str]:
    """The cell of one side of a difference, which is empty if the value is missing there."""
    return lambda row: "" if row["change"] == missing else _value(row[key])


_NO_TEXT = frozenset({"null", "true", "false"})
_NAMES = (Column("name", "Name"), Column("description", "Description"))
_INSTANTS = (
    Column("created_at", "Created", is_time=True),
    Column("updated_at", "Updated", is_time=True),
    Column("deleted_at", "Deleted", is_time=True),
)
AGENT_COLUMNS = (
    Column("agent_id", "AGENT", whole=True),
    Column("name", "NAME", spare=1),
    Column("description", "DESCRIPTION", spare=5),
    Column("tenant_id", "TENANT"),
    Column("user_id", "USER", in_table=False),
    Column("created_at", "CREATED", is_time=True, in_table=False),
    Column("updated_at", "UPDATED", is_time=True, whole=True, spare=4),
    Column("deleted_at", "DELETED", is_time=True, in_table=False),
    Column("key", "KEY", in_table=False),
)
CHANGED_FIELDS = (
    Column("agent_id", "Agent"),
    *_NAMES,
    Column("tenant_id", "Tenant"),
    Column("user_id", "User"),
    *_INSTANTS,
    Column("key", "Key"),
    Column("version_id", "Version"),
)
CONFIG_FIELD = Column("config", "Configuration", in_table=False)
VERSION_FIELDS = (
    Column("agent_id", "Agent"),
    Column("version_id", "Version"),
    *_NAMES,
    Column("active", "Active"),
    Column("created_at", "Created", is_time=True),
    Column("archived", "Archived"),
)
VERSION_COLUMNS = (
    Column("version_id", "VERSION", whole=True),
    Column("active", "ACTIVE"),
    Column("created_at", "CREATED", is_time=True, whole=True, spare=2),
    Column("name", "NAME", spare=3),
    Column("description", "DESCRIPTION", in_table=False),
    Column("archived", "ARCHIVED", spare=4),
)
DIFFERENCE_COLUMNS = (
    Column("path", "PATH", wraps=True),
    Column("change", "CHANGE", whole=True),
    Column("old", "OLD", show_row=_side("old", "added"), wraps=True),
    Column("new", "NEW", show_row=_side("new", "removed"), wraps=True),
)
CONFIG_COLUMNS = (
    Column("path", "PATH", wraps=True),
    Column("value", "VALUE", show=_value, wraps=True),
)
DELETED_FIELDS = (
    Column("agent_id", "Agent"),
    Column("result", "Result"),
    Column("numbers", "Phone numbers", show=", ".join),
)
RESOLVED_FIELDS = (Column("agent_id", "Agent"), Column("name", "Name"), Column("tenant_id", "Tenant"))
ROUTED_FIELDS = (
    *RESOLVED_FIELDS,
    Column("number", "Phone number"),
    Column("default", "Default agent"),
    Column("reason", "Reason"),
    Column("binding_id", "Binding"),
)
PURGE_FIELDS = (
    Column("agents", "Agents", show=count),
    Column("archived_versions", "Archived versions", show=count),
    Column("collection", "Collection"),
    Column("result", "Result"),
)
