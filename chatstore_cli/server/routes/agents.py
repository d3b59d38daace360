"""Saved agents and calls, as the first version of the voice platform has them: `/agents`, `/session`, `/config/tools`."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from chatstore_cli.core.agents.registry import AgentRegistryService
from chatstore_cli.core.agents.resolver import TOOLS
from chatstore_cli.core.agents.secrets import masked_config
from chatstore_cli.domain.agents.models import UNCHANGED, Agent
from chatstore_cli.domain.api_keys import Access
from chatstore_cli.domain.errors import AgentNotFound, Unreachable
from chatstore_cli.domain.times import as_utc
from chatstore_cli.server.error_bodies import Refusal
from chatstore_cli.server.requests import Reader, Served, Writer
from chatstore_cli.server.services import Services
from chatstore_cli.server.tenants import of_any_tenant, owner_of, tenants_of
from chatstore_cli.wiring.agents import agent_registry

router = APIRouter(tags=["Saved agents"])

T = TypeVar("T")
_DEFAULT_LIMIT = 50
_LARGEST_LIMIT = 200
_MOST_SKIPPED = 10_000

AGENT_EXAMPLE: JsonDict = {
    "id": "65f000000000000000000001",
    "name": "Reception",
    "description": None,
    "config": {"engine": {"kind": "pipeline"}, "tools": ["get_weather"]},
    "createdAt": "2026-02-01T09:00:00.000Z",
    "updatedAt": "2026-02-01T09:00:00.000Z",
}


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

    agent: AgentBody


class AgentList(BaseModel):
    """Agents, the newest change first."""

    agents: list[AgentBody]


class NewAgentBody(BaseModel):
    """A new agent."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "Reception", "config": {}}]})
    name: str
    description: str | None = None
    config: dict[str, Any] = Field(default_factory=dict)


class ChangedAgentBody(BaseModel):
    """What to change. `config` replaces the whole configuration."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "Front desk"}]})
    name: str | None = None
    description: str | None = None
    config: dict[str, Any] | None = None


@router.get("/agents", response_model=AgentList)
async def list_agents(
    services: Served,
    access: Reader,
    limit: Annotated[int, Query(description="Clamped to 1 to 200.")] = _DEFAULT_LIMIT,
    offset: Annotated[int, Query(description="Clamped to 0 to 10,000.")] = 0,
) -> AgentList:
    """List saved agents. Secrets are masked."""
    count, skipped = page_of(limit, offset)
    agents = await in_registry(services, lambda registry: newest_agents(registry, access, skipped + count))
    return AgentList(agents=[agent_body(agent) for agent in agents[skipped:]])


@router.post("/agents", response_model=OneAgent, status_code=HTTPStatus.CREATED)
async def create_agent(body: NewAgentBody, services: Served, access: Writer) -> OneAgent:
    """Save a new agent."""
    owner = owner_of(access)
    agent = await in_registry(
        services,
        lambda registry: registry.create_agent(
            body.name, description=body.description, config=body.config, tenant_id=owner
        ),
    )
    return OneAgent(agent=agent_body(agent))


@router.get("/agents/{agent_id}", response_model=OneAgent)
async def get_agent(agent_id: str, services: Served, access: Reader) -> OneAgent:
    """One agent. Secrets are masked."""
    return OneAgent(agent=agent_body(await find_agent(services, access, agent_id)))


@router.put("/agents/{agent_id}", response_model=OneAgent)
async def update_agent(agent_id: str, body: ChangedAgentBody, services: Served, access: Writer) -> OneAgent:
    """Change an agent. Its former state is kept as a version. Without changes it stays as it is."""
    given = body.model_fields_set
    name = body.name if "name" in given and body.name is not None else UNCHANGED
    description = body.description if "description" in given else UNCHANGED
    config = body.config if "config" in given and body.config is not None else UNCHANGED
    if not given:
        return await get_agent(agent_id, services, access)
    agent = await in_registry(
        services,
        lambda registry: of_any_tenant(
            access,
            lambda tenant: registry.update_agent(
                agent_id, name=name, description=description, config=config, tenant_id=tenant
            ),
        ),
    )
    return OneAgent(agent=agent_body(agent))


@router.delete("/agents/{agent_id}", status_code=HTTPStatus.NO_CONTENT, response_class=Response)
async def delete_agent(agent_id: str, services: Served, access: Writer) -> Response:
    """Delete an agent, so that `chatstore agents restore` can bring it back."""
    await in_registry(
        services,
        lambda registry: of_any_tenant(access, lambda tenant: registry.delete_agent(agent_id, tenant_id=tenant)),
    )
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.get("/config/tools")
async def tools(access: Reader) -> dict[str, Any]:
    """The tools that an agent can have."""
    return {"tools": list(TOOLS)}


async def find_agent(services: Services, access: Access, agent_id: str) -> Agent:
    """An agent of one of the caller's tenants. Raises Refusal."""
    return await in_registry(
        services,
        lambda registry: of_any_tenant(access, lambda tenant: registry.get_agent(agent_id, tenant_id=tenant)),
    )


def page_of(limit: int, offset: int) -> tuple[int, int]:
    """How many agents a page has, and how many are before it, within the limits of the platform."""
    return max(1, min(limit, _LARGEST_LIMIT)), max(0, min(offset, _MOST_SKIPPED))


def newest_agents(registry: AgentRegistryService, access: Access, count: int) -> list[Agent]:
    """The agents of the caller's tenants that were changed last."""
    found = [agent for tenant in tenants_of(access) for agent in _newest_of(registry, tenant, count)]
    return sorted(found, key=_position, reverse=True)[:count]


def _newest_of(registry: AgentRegistryService, tenant: str | None, count: int) -> list[Agent]:
    agents: list[Agent] = []
    cursor: str | None = None
    while len(agents) < count:
        size = min(_LARGEST_LIMIT, count - len(agents))
        page = registry.list_agents(tenant_id=tenant, limit=size, cursor=cursor)
        agents += page.agents
        cursor = page.next_cursor
        if cursor is None:
            break
    return agents


def _position(agent: Agent) -> tuple[float, str]:
    return (agent.updated_at.timestamp() if agent.updated_at is not None else 0.0, agent.agent_id)


async def in_registry(services: Services, call: Callable[[AgentRegistryService], T]) -> T:
    """The result of a call of the registry, with the errors that clients of this platform expect."""
    return await in_database(services, lambda: call(agent_registry(services.stores)))


async def in_database(services: Services, call: Callable[[], T]) -> T:
    """The result of a call that needs the database. Raises Refusal with the platform's texts."""
    if not services.settings.mongo.enabled:
        raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "Persistence is not configured")
    try:
        return await services.reading.run(call)
    except AgentNotFound as error:
        raise Refusal(HTTPStatus.NOT_FOUND, "Agent not found") from error
    except Unreachable as error:
        raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "Failed to connect to MongoDB") from error


def agent_body(agent: Agent) -> AgentBody:
    """An agent as this version shows it."""
    return AgentBody(
        id=agent.agent_id,
        name=agent.name,
        description=agent.description,
        config=masked_config(agent.config),
        createdAt=javascript_time(agent.created_at),
        updatedAt=javascript_time(agent.updated_at),
    )


def javascript_time(moment: Any) -> str | None:
    """A time as JavaScript writes it: UTC with milliseconds and Z."""
    return None if moment is None else as_utc(moment).isoformat(timespec="milliseconds").replace("+00:00", "Z")
