"""Phone numbers that saved agents answer: `/v1/telephony`, and `/telephony` as in the days before `/v1`.

A number has one live route over all tenants, so a refusal could show a tenant that another one has the number, and a tenant
could take the number of another one. No telephony provider is asked here who owns a number. So a key for all tenants, or
`chatstore agents numbers bind`, assigns a number to a tenant. A key of a tenant routes only the numbers that are assigned to
it, and gets one and the same 404 for a number of another tenant and for one that nobody has.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from chatstore_cli.core.phone_numbers.routing import PhoneNumbers
from chatstore_cli.domain.errors import NotFound
from chatstore_cli.domain.phone_numbers import PhoneBinding, checked_number
from chatstore_cli.server.entrance.tenants import of_any_tenant, tenants_of
from chatstore_cli.server.errors.error_bodies import Refusal
from chatstore_cli.server.requests import Reader, Served, Writer
from chatstore_cli.server.routes.agent_answers import AGENT_ID, ERRORS, GivenAgentId, answered, javascript_time
from chatstore_cli.wiring.phone_numbers import phone_numbers

router = APIRouter(tags=["Phone numbers"], responses=ERRORS)

_PAGE = 200
_BINDING_ID = "65cc00000000000000000001"
_BINDING: JsonDict = {
    "id": _BINDING_ID,
    "orgId": "acme",
    "integrationId": "65dd00000000000000000001",
    "provider": "telnyx",
    "providerNumberId": "pn-1",
    "e164": "+4930123456",
    "agentId": AGENT_ID,
    "enabled": True,
    "createdAt": "2026-02-23T09:00:00.000Z",
    "updatedAt": "2026-02-23T09:00:00.000Z",
}

BindingId = Annotated[str, Path(description="24 hexadecimal digits.", examples=[_BINDING_ID])]
Provider = Annotated[str, Path(description="The name of the provider.", examples=["telnyx"])]
NumberId = Annotated[str, Path(description="The id of the number at its provider.", examples=["pn-1"])]
IntegrationId = Annotated[str | None, Query(description="The account at the provider that has the number.")]


class ConnectBody(BaseModel):
    """The number to connect, and the agent that answers it. Without an agent, the default agent answers."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"e164": "+4930123456", "agentId": AGENT_ID}]})
    e164: Annotated[str, AfterValidator(checked_number), Field(json_schema_extra={"pattern": r"^\+[1-9]\d{7,14}$"})]
    agentId: GivenAgentId | None = None


class Binding(BaseModel):
    """The route of a phone number."""

    model_config = ConfigDict(json_schema_extra={"examples": [_BINDING]})
    id: str
    orgId: str | None
    integrationId: str | None
    provider: str | None
    providerNumberId: str | None
    e164: str
    agentId: str | None
    enabled: bool
    createdAt: str | None
    updatedAt: str | None


class Bindings(BaseModel):
    """The routes of phone numbers, the newest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"bindings": [_BINDING]}]})
    bindings: list[Binding]


class Deleted(BaseModel):
    """What was asked for is done."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ok": True}]})
    ok: bool = True


@router.get("/telephony/bindings", response_model=Bindings)
@router.get("/v1/telephony/bindings", response_model=Bindings)
async def bindings(services: Served, access: Reader) -> Response:
    """The numbers that agents answer, the newest route first."""

    def read() -> Bindings:
        numbers = phone_numbers(services.stores)
        found = [binding for tenant in tenants_of(access) for binding in _all_of(numbers, tenant)]
        found.sort(key=lambda binding: binding.binding_id, reverse=True)
        return Bindings(bindings=[_body(each) for each in found])

    return await answered(services, read)


@router.post("/telephony/providers/{provider}/numbers/{number_id}/connect", response_model=Binding)
@router.post("/v1/telephony/providers/{provider}/numbers/{number_id}/connect", response_model=Binding)
async def connect(
    provider: Provider,
    number_id: NumberId,
    body: ConnectBody,
    services: Served,
    access: Writer,
    integrationId: IntegrationId = None,
) -> Response:
    """Let an agent answer a number. The agent and the number must be those of the caller's tenant."""

    def connect_for(tenant: str | None) -> PhoneBinding:
        return phone_numbers(services.stores).connect_number(
            body.e164,
            body.agentId,
            provider=provider,
            number_id=number_id,
            integration_id=integrationId or None,
            tenant_id=tenant,
        )

    try:
        return await answered(services, lambda: _body(of_any_tenant(access, connect_for)))
    except NotFound as error:
        raise Refusal(HTTPStatus.NOT_FOUND, f"Number {body.e164} not found") from error


@router.delete("/telephony/bindings/{binding_id}", response_model=Deleted)
@router.delete("/v1/telephony/bindings/{binding_id}", response_model=Deleted)
async def disconnect(binding_id: BindingId, services: Served, access: Writer) -> Response:
    """Delete the route of a number."""

    def delete() -> Deleted:
        numbers = phone_numbers(services.stores)
        of_any_tenant(access, lambda tenant: numbers.disconnect_number(binding_id, tenant_id=tenant))
        return Deleted()

    try:
        return await answered(services, delete)
    except NotFound as error:
        raise Refusal(HTTPStatus.NOT_FOUND, f"Binding {binding_id} not found") from error


def _all_of(numbers: PhoneNumbers, tenant: str | None) -> Iterator[PhoneBinding]:
    cursor = None
    while True:
        page = numbers.list_numbers(tenant_id=tenant, limit=_PAGE, cursor=cursor)
        yield from page.bindings
        cursor = page.next_cursor
        if cursor is None:
            return


def _body(binding: PhoneBinding) -> Binding:
    return Binding(
        id=binding.binding_id,
        orgId=binding.tenant_id,
        integrationId=binding.integration_id,
        provider=binding.provider,
        providerNumberId=binding.provider_number_id,
        e164=binding.number,
        agentId=binding.agent_id,
        enabled=binding.enabled,
        createdAt=javascript_time(binding.created_at),
        updatedAt=javascript_time(binding.updated_at),
    )
