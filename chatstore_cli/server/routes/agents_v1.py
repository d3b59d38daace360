"""Saved agents as the later version of the voice platform has them, under `/v1`: versions, and the numbers that agents answer."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from chatstore_cli.core.agents.secrets import masked_config
from chatstore_cli.domain.agents.models import Agent
from chatstore_cli.domain.errors import AgentVersionNotFound, NotFound
from chatstore_cli.domain.phone_numbers import PhoneBinding
from chatstore_cli.server.error_bodies import Refusal
from chatstore_cli.server.requests import Reader, Served, Writer
from chatstore_cli.server.routes import agents as first
from chatstore_cli.server.routes.agents import find_agent, in_database, in_registry, javascript_time, newest_agents
from chatstore_cli.server.tenants import of_any_tenant, owner_of, tenants_of
from chatstore_cli.wiring.agents import agent_registry
from chatstore_cli.wiring.phone_numbers import phone_numbers

router = APIRouter(prefix="/v1", tags=["Saved agents, later version"])

_MOST_VERSIONS = 1_000
_MOST_NUMBERS = 200
_NEW_NUMBER = "The number is not connected for this tenant. Connect it first with a key for all tenants."


class ConfigBody(BaseModel):
    """An agent's configuration. Its name is `config.agent_name`."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"config": {"agent_name": "Reception", "tools": []}}]}
    )
    config: dict[str, Any]


class ConnectBody(BaseModel):
    """The number to connect, and the agent that answers it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"e164": "+4930123456"}]})
    e164: str
    agentId: str | None = None


@router.get("/agents")
async def list_agents(
    services: Served,
    access: Reader,
    limit: Annotated[int, Query(description="Clamped to 1 to 200.")] = 50,
    offset: Annotated[int, Query(description="Clamped to 0 to 10,000.")] = 0,
) -> dict[str, Any]:
    """List saved agents. Secrets are masked."""
    count, skipped = first.page_of(limit, offset)
    agents = await in_registry(services, lambda registry: newest_agents(registry, access, skipped + count))
    return {"agents": [_body(agent) for agent in agents[skipped:]]}


@router.post("/agents", status_code=HTTPStatus.CREATED)
async def create_agent(body: ConfigBody, services: Served, access: Writer) -> dict[str, Any]:
    """Save a new agent."""
    _require_name(body.config)
    owner = owner_of(access)
    return {
        "agent": _body(
            await in_registry(services, lambda registry: registry.create_agent(config=body.config, tenant_id=owner))
        )
    }


@router.get("/agents/{agent_id}")
async def get_agent(agent_id: str, services: Served, access: Reader) -> dict[str, Any]:
    """One agent. Secrets are masked."""
    return {"agent": _body(await find_agent(services, access, agent_id))}


@router.put("/agents/{agent_id}")
async def update_agent(agent_id: str, body: ConfigBody, services: Served, access: Writer) -> dict[str, Any]:
    """Replace the configuration of an agent. Its former state is kept as a version."""
    name = _require_name(body.config)
    agent = await in_registry(
        services,
        lambda registry: of_any_tenant(
            access,
            lambda tenant: registry.update_agent(agent_id, name=name, config=body.config, tenant_id=tenant),
        ),
    )
    return {"agent": _body(agent)}


@router.delete("/agents/{agent_id}", status_code=HTTPStatus.NO_CONTENT, response_class=Response)
async def delete_agent(agent_id: str, services: Served, access: Writer) -> Response:
    """Delete an agent, so that `chatstore agents restore` can bring it back."""
    return await first.delete_agent(agent_id, services, access)


@router.get("/agents/{agent_id}/versions")
async def versions(agent_id: str, services: Served, access: Reader) -> dict[str, Any]:
    """The versions of an agent, the newest first."""

    def read(tenant: str | None) -> list[dict[str, Any]]:
        registry = agent_registry(services.stores)
        found = registry.history(agent_id, tenant_id=tenant, limit=_MOST_VERSIONS)
        rows = []
        for each in found:
            stored = registry.get_version(agent_id, each.version_id, tenant_id=tenant)
            rows.append(
                {
                    "version_id": stored.version_id,
                    "config": masked_config(stored.config),
                    "active": stored.active,
                    "created_at": javascript_time(stored.created_at),
                }
            )
        return rows

    return {
        "agent_id": agent_id,
        "versions": await in_database(services, lambda: of_any_tenant(access, read)),
    }


@router.post("/agents/{agent_id}/versions/{version_id}/activate")
async def activate(agent_id: str, version_id: str, services: Served, access: Writer) -> dict[str, Any]:
    """Make a version the state of the agent again."""
    try:
        agent = await in_registry(
            services,
            lambda registry: of_any_tenant(
                access, lambda tenant: registry.activate(agent_id, version_id, tenant_id=tenant)
            ),
        )
    except AgentVersionNotFound as error:
        raise Refusal(HTTPStatus.NOT_FOUND, "Agent or version not found") from error
    return {"agent": _body(agent)}


@router.get("/telephony/bindings")
async def bindings(services: Served, access: Reader) -> dict[str, Any]:
    """The numbers that agents answer, the newest route first."""

    def read() -> list[PhoneBinding]:
        numbers = phone_numbers(services.stores)
        return [
            binding
            for tenant in tenants_of(access)
            for binding in numbers.list_numbers(tenant_id=tenant, limit=_MOST_NUMBERS).bindings
        ]

    return {"bindings": [_binding(each) for each in await in_database(services, read)]}


@router.post("/telephony/providers/{provider}/numbers/{number_id}/connect")
async def connect(provider: str, number_id: str, body: ConnectBody, services: Served, access: Writer) -> dict[str, Any]:
    """Let an agent answer a number. It must be an agent of the caller's tenant.

    A number has one route over all tenants. So a key of a tenant changes the numbers that its tenant has, and a new one is
    connected with a key for all tenants: it could be another tenant's, and not even that must be told.
    """
    if body.agentId is None:
        raise Refusal(HTTPStatus.BAD_REQUEST, "agentId is required")
    agent_id = body.agentId

    def bind(tenant: str | None) -> PhoneBinding:
        numbers = phone_numbers(services.stores)
        if tenant is not None and not numbers.is_bound(body.e164, tenant_id=tenant):
            raise NotFound(kind_of_thing="number", name=body.e164, where="")
        return numbers.bind(body.e164, agent_id, tenant_id=tenant)

    try:
        return _binding(await in_database(services, lambda: of_any_tenant(access, bind)))
    except NotFound as error:
        raise Refusal(HTTPStatus.FORBIDDEN, _NEW_NUMBER) from error


@router.delete("/telephony/bindings/{binding_id}")
async def disconnect(binding_id: str, services: Served, access: Writer) -> dict[str, bool]:
    """Delete the route of a number."""

    def delete() -> None:
        numbers = phone_numbers(services.stores)
        for tenant in tenants_of(access):
            found = numbers.list_numbers(tenant_id=tenant, limit=_MOST_NUMBERS).bindings
            for binding in found:
                if binding.binding_id == binding_id:
                    numbers.unbind(binding.number, tenant_id=tenant, binding_id=binding_id)
                    return
        raise NotFound(kind_of_thing="binding", name=binding_id, where="")

    try:
        await in_database(services, delete)
    except NotFound as error:
        raise Refusal(HTTPStatus.NOT_FOUND, f"Binding {binding_id} not found") from error
    return {"ok": True}


def _require_name(config: dict[str, Any]) -> str:
    name = config.get("agent_name")
    if not isinstance(name, str) or not name.strip():
        raise Refusal(HTTPStatus.BAD_REQUEST, "config.agent_name is required")
    return name


def _body(agent: Agent) -> dict[str, Any]:
    """An agent as this version shows it: its name is in its configuration."""
    config = masked_config(agent.config)
    if agent.name is not None:
        config.setdefault("agent_name", agent.name)
    if agent.description is not None:
        config.setdefault("agent_description", agent.description)
    return {
        "id": agent.agent_id,
        "config": config,
        "createdAt": javascript_time(agent.created_at),
        "updatedAt": javascript_time(agent.updated_at),
    }


def _binding(binding: PhoneBinding) -> dict[str, Any]:
    return {
        "id": binding.binding_id,
        "orgId": binding.tenant_id,
        "integrationId": binding.integration_id,
        "provider": binding.provider,
        "providerNumberId": binding.provider_number_id,
        "e164": binding.number,
        "agentId": binding.agent_id,
        "enabled": binding.enabled,
        "createdAt": javascript_time(binding.created_at),
        "updatedAt": javascript_time(binding.updated_at),
    }
