"""The stored documents of agents, in all their variants, as agents (docs/layouts.md)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bson import DBRef, ObjectId
from bson.datetime_ms import DatetimeMS

from chatstore_cli.core.agents.content import DESCRIPTION, NAME
from chatstore_cli.domain.agents.models import Agent, AgentVersion, NewAgent
from chatstore_cli.mongo.agents.own_agents import PLATFORM_AGENTS
from chatstore_cli.mongo.bson_values import json_value, stored_instant
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.identifiers import document_id_condition, id_text

_BESIDE_DATA = frozenset(
    ("_id", "agent_id", "orgId", "createdByUserId", "deletedAt", "versions", "createdAt", "updatedAt", "__v")
)
"""The fields of an agent of lyzr-agent that are not a part of its configuration."""

FIELDS = dict.fromkeys(
    ("name", "description", "config", "orgId", "createdByUserId", "deletedAt", "createdAt", "updatedAt", "__v"), 1
)
"""The fields of a platform's agent that `to_agent` reads."""
NAME_FIELDS = {**{name: 1 for name in FIELDS if name != "config"}, f"config.{NAME}": 1, f"config.{DESCRIPTION}": 1}
"""The same without the rest of the configuration, and with what is read of an agent of lyzr-agent."""
NAME_FIELDS |= {"agent_id": 1, NAME: 1}

IS_DELETED: Document = {"$type": "date", "$not": {"$type": "array"}}
"""What `deletedAt` of a deleted agent is. `$type` alone is met by a list with a date too."""


def of_tenant(tenant_id: str | None) -> Document:
    """The condition for the agents of a tenant. None, the operator, selects all. No tenant has an agent without one."""
    return {} if tenant_id is None else {"orgId": document_id_condition(tenant_id)}


def to_agent(document: Mapping[str, Any], version_id: str = "") -> Agent:
    """The agent of a document."""
    is_platform = PLATFORM_AGENTS.matches(document)
    config = json_value(document["config"] if is_platform else data_of(document))
    names_in_config = is_platform and "name" not in document
    if names_in_config:
        name, description = config.get(NAME), config.get(DESCRIPTION)
    else:
        name, description = document.get("name", document.get(NAME)), document.get("description")
    return Agent(
        agent_id=str(document["_id"]),
        name=_text(name),
        description=_text(description),
        config=config,
        created_at=stored_instant(document.get("createdAt")),
        updated_at=stored_instant(document.get("updatedAt")),
        deleted_at=stored_instant(document.get("deletedAt")),
        version_id=version_id,
        tenant_id=_text(document.get("orgId")),
        user_id=_text(document.get("createdByUserId")),
        names_in_config=names_in_config,
        key=None if is_platform else str(document["agent_id"]),
    )


def to_version(entry: Mapping[str, Any], *, archived: bool = False) -> AgentVersion:
    """The version of an entry of `versions`, or of an archived document."""
    config = entry.get("config")
    return AgentVersion(
        version_id=id_text(entry.get("versionId", "")),
        config=json_value(config) if isinstance(config, Mapping | DBRef) else {},
        active=entry.get("active") is True and not archived,
        created_at=stored_instant(entry.get("createdAt")),
        name=_text(entry.get("name")),
        description=_text(entry.get("description")),
        archived=archived,
    )


def data_of(document: Mapping[str, Any]) -> Document:
    """The fields of an agent of lyzr-agent that are its configuration, as they are stored."""
    return {name: value for name, value in document.items() if name not in _BESIDE_DATA}


def new_document(agent: NewAgent, now: datetime, *, names_in_config: bool) -> Document:
    """The document of a new agent, with its name at its top or in its configuration."""
    config = dict(agent.config)
    names: Document = {}
    if names_in_config:
        given = {NAME: agent.name, **({} if agent.description is None else {DESCRIPTION: agent.description})}
        config = {**{key: given[key] for key in given if key not in config}, **config, **given}
    else:
        names = {"name": agent.name, "description": agent.description}
    owners = {"orgId": agent.tenant_id, "createdByUserId": agent.user_id}
    return {
        "_id": ObjectId(),
        **{field: value for field, value in owners.items() if value is not None},
        **names,
        "config": config,
        "deletedAt": None,
        "createdAt": now,
        "updatedAt": now,
        "__v": 0,
    }


def milliseconds_of(value: Any) -> int | None:
    """The milliseconds since 1970 of a stored date; None for other values."""
    if isinstance(value, DatetimeMS):
        return int(value)
    if not isinstance(value, datetime):
        return None
    return int(DatetimeMS(value if value.tzinfo is not None else value.replace(tzinfo=UTC)))


def _text(value: Any) -> str | None:
    return None if value is None else id_text(value)
