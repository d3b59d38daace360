"""Saved agents as the later version of the voice platform has them, under `/v1`: their names are in `config`, with versions."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from chatstore_cli.core.agents.checks import MAX_DESCRIPTION, MAX_NAME, checked_description, checked_name
from chatstore_cli.core.agents.content import DESCRIPTION, NAME
from chatstore_cli.core.agents.streams import agents_from, versions_of
from chatstore_cli.domain.agents.models import Agent, AgentVersion
from chatstore_cli.domain.errors import AgentVersionNotFound
from chatstore_cli.server.entrance.tenants import of_any_tenant, owner_of, tenants_of
from chatstore_cli.server.errors.error_bodies import Refusal
from chatstore_cli.server.requests import Reader, Served, Writer
from chatstore_cli.server.routes.agent_answers import (
    AGENT_ID,
    ERRORS,
    AgentId,
    Config,
    Limit,
    Offset,
    answered,
    in_database,
    javascript_time,
    listed,
    page_of,
    shown_config,
)
from chatstore_cli.server.routes.agents import find_agent
from chatstore_cli.server.routes.page_text import PageText, json_response
from chatstore_cli.wiring.agents import agent_registry, agent_store

router = APIRouter(prefix="/v1", tags=["Saved agents, later version"], responses=ERRORS)

_VERSION_ID = "b6a1c2d3-e4f5-4a6b-8c7d-9e0f1a2b3c4d"
_CONFIG: JsonDict = {"agent_name": "Reception", "engine": {"kind": "pipeline"}, "tools": ["get_weather"]}
_AGENT: JsonDict = {
    "id": AGENT_ID,
    "config": _CONFIG,
    "createdAt": "2026-02-23T09:00:00.000Z",
    "updatedAt": "2026-02-23T09:00:00.000Z",
}
_VERSION: JsonDict = {
    "version_id": _VERSION_ID,
    "config": _CONFIG,
    "active": True,
    "created_at": "2026-02-23T09:00:00.000Z",
}

_NAMED: JsonDict = {
    "required": [NAME],
    "properties": {
        NAME: {"type": "string", "minLength": 1, "maxLength": MAX_NAME, "pattern": r"\S"},
        DESCRIPTION: {"type": ["string", "null"], "maxLength": MAX_DESCRIPTION},
    },
}

VersionId = Annotated[str, Path(description="A UUID.", examples=[_VERSION_ID], json_schema_extra={"format": "uuid"})]


def _named(config: dict[str, Any]) -> dict[str, Any]:
    field, name = f"config.{NAME}", config.get(NAME)
    if name is None or not checked_name(name, field):
        raise ValueError(f"{field} is required")
    if len(name) > MAX_NAME:
        raise ValueError(f"{field} must be {MAX_NAME} characters or less")
    checked_description(config.get(DESCRIPTION), f"config.{DESCRIPTION}")
    return config


class ConfigBody(BaseModel):
    """An agent's configuration. Its name is `config.agent_name`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"config": _CONFIG}]})
    config: Annotated[Config, AfterValidator(_named), Field(json_schema_extra=_NAMED)]


class LaterAgent(BaseModel):
    """An agent. Secrets in `config` are masked; a mask that is sent back means the stored value."""

    model_config = ConfigDict(json_schema_extra={"examples": [_AGENT]})
    id: str
    config: dict[str, Any]
    createdAt: str | None
    updatedAt: str | None


class OneLaterAgent(BaseModel):
    """An agent under the key `agent`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"agent": _AGENT}]})
    agent: LaterAgent


class LaterAgents(BaseModel):
    """Agents, the newest change first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"agents": [_AGENT]}]})
    agents: list[LaterAgent]


class Version(BaseModel):
    """A state of an agent. One is active: the present one."""

    model_config = ConfigDict(json_schema_extra={"examples": [_VERSION]})
    version_id: str
    config: dict[str, Any]
    active: bool
    created_at: str | None


class Versions(BaseModel):
    """The versions of an agent, the newest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"agent_id": AGENT_ID, "versions": [_VERSION]}]})
    agent_id: str
    versions: list[Version]


@router.get("/agents", response_model=LaterAgents)
async def list_agents(services: Served, access: Reader, limit: Limit = None, offset: Offset = None) -> Response:
    """List saved agents, the newest change first. Secrets are masked.

    A page of more than 16 MiB gets 413, with the limit that fits.
    """
    count, skipped = page_of(limit, offset)

    def rows() -> Iterator[BaseModel]:
        return map(_body, agents_from(agent_store(services.stores), tenants_of(access), skipped, count))

    return await listed(services, "agents", rows)


@router.post("/agents", response_model=OneLaterAgent, status_code=HTTPStatus.CREATED)
async def create_agent(body: ConfigBody, services: Served, access: Writer) -> Response:
    """Save a new agent. Names need not be unique."""
    owner = owner_of(access)

    def create() -> OneLaterAgent:
        agent = agent_registry(services.stores).create_agent(config=body.config, tenant_id=owner)
        return OneLaterAgent(agent=_body(agent))

    return await answered(services, create, HTTPStatus.CREATED)


@router.get("/agents/{agent_id}", response_model=OneLaterAgent)
async def get_agent(agent_id: AgentId, services: Served, access: Reader) -> Response:
    """One agent. Secrets are masked."""
    return await answered(services, lambda: OneLaterAgent(agent=_body(find_agent(services, access, agent_id))))


@router.put("/agents/{agent_id}", response_model=OneLaterAgent)
async def update_agent(agent_id: AgentId, body: ConfigBody, services: Served, access: Writer) -> Response:
    """Replace the configuration of an agent. Its former state is kept as a version."""

    def update() -> OneLaterAgent:
        registry = agent_registry(services.stores)
        agent = of_any_tenant(access, lambda tenant: registry.replace_config(agent_id, body.config, tenant_id=tenant))
        return OneLaterAgent(agent=_body(agent))

    return await answered(services, update)


@router.get("/agents/{agent_id}/versions", response_model=Versions)
async def versions(agent_id: AgentId, services: Served, access: Reader) -> Response:
    """The versions of an agent, the newest first.

    These are all versions in the agent's own document, and archived ones up to 100 in all, as far as they have
    at most 16 MiB together. `chatstore agents history` lists the older ones. Secrets are masked.
    """

    def read() -> bytes:
        store, page = agent_store(services.stores), PageText()
        for each in of_any_tenant(access, lambda tenant: versions_of(store, agent_id, tenant)):
            if not page.add(_version(each).model_dump_json()):
                break
        return page.body("versions", before={"agent_id": agent_id.lower()})

    return json_response(await in_database(services, read))


@router.post("/agents/{agent_id}/versions/{version_id}/activate", response_model=OneLaterAgent)
async def activate(agent_id: AgentId, version_id: VersionId, services: Served, access: Writer) -> Response:
    """Make a version the state of the agent again. The present state stays one of its versions."""

    def make_active() -> OneLaterAgent:
        registry = agent_registry(services.stores)
        agent = of_any_tenant(access, lambda tenant: registry.activate(agent_id, version_id, tenant_id=tenant))
        return OneLaterAgent(agent=_body(agent))

    try:
        return await answered(services, make_active)
    except AgentVersionNotFound as error:
        raise Refusal(HTTPStatus.NOT_FOUND, "Agent or version not found") from error


def _body(agent: Agent) -> LaterAgent:
    """An agent as this version shows it: its name is in its configuration."""
    config = shown_config(agent.config)
    if agent.name is not None:
        config.setdefault(NAME, agent.name)
    if agent.description is not None:
        config.setdefault(DESCRIPTION, agent.description)
    return LaterAgent(
        id=agent.agent_id,
        config=config,
        createdAt=javascript_time(agent.created_at),
        updatedAt=javascript_time(agent.updated_at),
    )


def _version(version: AgentVersion) -> Version:
    return Version(
        version_id=version.version_id,
        config=shown_config(version.config),
        active=version.active,
        created_at=javascript_time(version.created_at),
    )
