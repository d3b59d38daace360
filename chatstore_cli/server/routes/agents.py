"""Saved agents, as the first version of the voice platform has them: `/agents` and `/config/tools`."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from chatstore_cli.core.agents.checks import MAX_DESCRIPTION, MAX_NAME, checked_description, checked_name
from chatstore_cli.core.agents.registry import AgentRegistryService
from chatstore_cli.core.agents.resolver import TOOLS
from chatstore_cli.core.agents.streams import agents_from
from chatstore_cli.domain.agents.models import UNCHANGED, Agent
from chatstore_cli.domain.api_keys import Access
from chatstore_cli.server.entrance.tenants import of_any_tenant, owner_of, tenants_of
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
from chatstore_cli.server.services import Services
from chatstore_cli.wiring.agents import agent_registry, agent_store

router = APIRouter(tags=["Saved agents"], responses=ERRORS)

AGENT_EXAMPLE: JsonDict = {
    "id": AGENT_ID,
    "name": "Reception",
    "description": None,
    "config": {"engine": {"kind": "pipeline"}, "tools": ["get_weather"]},
    "createdAt": "2026-02-01T09:00:00.000Z",
    "updatedAt": "2026-02-01T09:00:00.000Z",
}


def _name(name: str) -> str:
    if len(name) > MAX_NAME:
        raise ValueError(f"name must be {MAX_NAME} characters or less")
    return checked_name(name)


Name = Annotated[
    str, AfterValidator(_name), Field(json_schema_extra={"minLength": 1, "maxLength": MAX_NAME, "pattern": r"\S"})
]
Description = Annotated[
    str, AfterValidator(checked_description), Field(json_schema_extra={"maxLength": MAX_DESCRIPTION})
]


class AgentBody(BaseModel):
    """An agent. Secrets in `config` are masked; a mask that is sent back means the stored value."""

    model_config = ConfigDict(json_schema_extra={"examples": [AGENT_EXAMPLE]})
    id: str
    name: str | None
    description: str | None
    config: dict[str, Any]
    createdAt: str | None
    updatedAt: str | None


class OneAgent(BaseModel):
    """An agent under the key `agent`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"agent": AGENT_EXAMPLE}]})
    agent: AgentBody


class AgentList(BaseModel):
    """Agents, the newest change first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"agents": [AGENT_EXAMPLE]}]})
    agents: list[AgentBody]


class NewAgentBody(BaseModel):
    """A new agent."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "Reception", "config": {}}]})
    name: Name
    description: Description | None = None
    config: Config = Field(default_factory=dict)


class ChangedAgentBody(BaseModel):
    """What to change. `config` replaces the whole configuration. `description` null removes it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "Front desk"}]})
    name: Name = ""
    description: Description | None = None
    config: Config = Field(default_factory=dict)


class Tools(BaseModel):
    """The ids of the tools that an agent can have."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"tools": list(TOOLS)}]})
    tools: list[str]


@router.get("/agents", response_model=AgentList)
async def list_agents(services: Served, access: Reader, limit: Limit = None, offset: Offset = None) -> Response:
    """List saved agents, the newest change first. Secrets are masked.

    A page of more than 16 MiB gets 413, with the limit that fits.
    """
    count, skipped = page_of(limit, offset)

    def rows() -> Iterator[BaseModel]:
        return map(_body, agents_from(agent_store(services.stores), tenants_of(access), skipped, count))

    return await listed(services, "agents", rows)


@router.post("/agents", response_model=OneAgent, status_code=HTTPStatus.CREATED)
async def create_agent(body: NewAgentBody, services: Served, access: Writer) -> Response:
    """Save a new agent. Names need not be unique."""
    owner = owner_of(access)

    def create() -> OneAgent:
        agent = agent_registry(services.stores).create_agent(
            body.name, description=body.description, config=body.config, tenant_id=owner
        )
        return OneAgent(agent=_body(agent))

    return await answered(services, create, HTTPStatus.CREATED)


@router.get("/agents/{agent_id}", response_model=OneAgent)
async def get_agent(agent_id: AgentId, services: Served, access: Reader) -> Response:
    """One agent. Secrets are masked."""
    return await answered(services, lambda: OneAgent(agent=_body(find_agent(services, access, agent_id))))


@router.put("/agents/{agent_id}", response_model=OneAgent)
async def update_agent(agent_id: AgentId, body: ChangedAgentBody, services: Served, access: Writer) -> Response:
    """Change an agent. Its former state is kept as a version. Without changes it stays as it is."""
    given = body.model_fields_set
    name = body.name if "name" in given else UNCHANGED
    description = body.description if "description" in given else UNCHANGED
    config = body.config if "config" in given else UNCHANGED

    def change(registry: AgentRegistryService, tenant: str | None) -> Agent:
        return registry.update_agent(agent_id, name=name, description=description, config=config, tenant_id=tenant)

    def update() -> OneAgent:
        if not given:
            return OneAgent(agent=_body(find_agent(services, access, agent_id)))
        registry = agent_registry(services.stores)
        return OneAgent(agent=_body(of_any_tenant(access, lambda tenant: change(registry, tenant))))

    return await answered(services, update)


@router.delete("/agents/{agent_id}", status_code=HTTPStatus.NO_CONTENT, response_class=Response)
@router.delete("/v1/agents/{agent_id}", status_code=HTTPStatus.NO_CONTENT, response_class=Response)
async def delete_agent(agent_id: AgentId, services: Served, access: Writer) -> Response:
    """Delete an agent, so that `chatstore agents restore` can bring it back."""

    def delete() -> None:
        registry = agent_registry(services.stores)
        of_any_tenant(access, lambda tenant: registry.delete_agent(agent_id, tenant_id=tenant))

    await in_database(services, delete)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.get("/config/tools")
@router.get("/v1/config/tools")
async def tools(access: Reader) -> Tools:
    """The tools that an agent can have."""
    return Tools(tools=list(TOOLS))


def find_agent(services: Services, access: Access, agent_id: str) -> Agent:
    """An agent of one of the caller's tenants. Called in a thread. Raises AgentNotFound."""
    registry = agent_registry(services.stores)
    return of_any_tenant(access, lambda tenant: registry.get_agent(agent_id, tenant_id=tenant))


def _body(agent: Agent) -> AgentBody:
    """An agent as this version shows it."""
    return AgentBody(
        id=agent.agent_id,
        name=agent.name,
        description=agent.description,
        config=shown_config(agent.config),
        createdAt=javascript_time(agent.created_at),
        updatedAt=javascript_time(agent.updated_at),
    )
