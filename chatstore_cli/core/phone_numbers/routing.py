"""Routes phone numbers to saved agents: the rules over any BindingStore and AgentStore."""

from __future__ import annotations

import re

from chatstore_cli.core.agents.checks import checked_agent_id, checked_key, checked_limit, checked_owner
from chatstore_cli.domain.agents.models import Agent
from chatstore_cli.domain.agents.ports import AgentStore
from chatstore_cli.domain.errors import AgentNotFound, BadValue, Conflict, InvalidAgent, NotFound
from chatstore_cli.domain.phone_numbers import (
    BindingPage,
    BindingStore,
    PhoneBinding,
    ProviderNumber,
    RoutedCall,
    RouteReason,
    checked_number,
)

_MOST_ROUTES = 1_000
_BINDING_ID = re.compile(r"[0-9a-f]{24}")


class PhoneNumbers:
    """Binds phone numbers to agents, and finds the agent of a called number.

    `tenant_id` is the tenant of the caller, who sees its own numbers and agents only. None is the operator. A number has one
    live route over all tenants. Numbers are completed and checked: domain/phone_numbers.py.
    """

    def __init__(self, bindings: BindingStore, agents: AgentStore, *, default_agent: str | None = None) -> None:
        """`default_agent` is the id of the agent that answers a number without a usable route."""
        self._bindings = bindings
        self._agents = agents
        self._default_agent = default_agent

    def list_numbers(self, *, tenant_id: str | None = None, limit: int = 50, cursor: str | None = None) -> BindingPage:
        """A page of at most `limit` numbers (1 to 200), the newest binding first. `cursor` is the `next_cursor` of a page."""
        if cursor is not None and not _BINDING_ID.fullmatch(cursor):
            raise BadValue(name="--cursor", value=cursor, expected="the next_cursor of an earlier page")
        limit = checked_limit(limit)
        found = self._bindings.page(checked_owner(tenant_id, "tenant_id"), cursor, limit + 1)
        return BindingPage(tuple(found[:limit]), found[limit - 1].binding_id if len(found) > limit else None)

    def bind(self, number: str, agent_id: str, *, tenant_id: str | None = None) -> PhoneBinding:
        """Route a number to an agent. If the tenant has a route of that number already, its agent is replaced.

        The number then belongs to the agent's tenant. Raises AgentNotFound for an agent that does not exist or belongs to
        another tenant, and Conflict if the number has a live route of another tenant.
        """
        number, agent_id = checked_number(number), checked_agent_id(agent_id)
        agent = self._agent(agent_id, checked_owner(tenant_id, "tenant_id"))
        if agent is None:
            raise AgentNotFound(agent_id=agent_id)
        return self._bindings.bind(number, agent_id, agent.tenant_id)

    def connect_number(
        self,
        number: str,
        agent_id: str | None,
        *,
        provider: str,
        number_id: str,
        integration_id: str | None = None,
        tenant_id: str | None = None,
    ) -> PhoneBinding:
        """Route the number of a telephony provider to an agent, or to none, as the platform's clients ask for it.

        The operator can route every number, and so assigns it to the agent's tenant. A tenant can only route numbers that
        are assigned to it: nothing here shows that a number is its own, and it must not take one from others. To a tenant,
        a number of another tenant and one that nobody has are the same: NotFound. Raises AgentNotFound and Conflict too.
        """
        number, tenant_id = checked_number(number), checked_owner(tenant_id, "tenant_id")
        at = ProviderNumber(
            checked_key(provider, "provider"),
            checked_key(number_id, "id"),
            checked_owner(integration_id, "integrationId"),
        )
        missing = NotFound(kind_of_thing="number", name=number, where="")
        known = self._bindings.of_number(number, tenant_id)
        if tenant_id is not None and not known:
            raise missing
        owner = tenant_id or next((each.tenant_id for each in known if each.enabled), None)
        if agent_id is not None:
            agent_id = checked_agent_id(agent_id)
            agent = self._agent(agent_id, tenant_id)
            if agent is None:
                raise AgentNotFound(agent_id=agent_id)
            owner = agent.tenant_id
        try:
            return self._bindings.bind(number, agent_id, owner, at)
        except Conflict:
            if tenant_id is None:
                raise
            raise missing from None  # another tenant has it meanwhile

    def disconnect_number(self, binding_id: str, *, tenant_id: str | None = None) -> PhoneBinding:
        """Delete the binding with the id, and return it. Raises NotFound."""
        tenant_id = checked_owner(tenant_id, "tenant_id")
        chosen = binding_id.lower() if isinstance(binding_id, str) else ""
        binding = self._bindings.find(chosen, tenant_id) if _BINDING_ID.fullmatch(chosen) else None
        if binding is None or not self._bindings.remove(binding):
            raise NotFound(kind_of_thing="binding", name=str(binding_id)[:100], where="")
        return binding

    def unbind(
        self, number: str, *, tenant_id: str | None = None, binding_id: str | None = None, dry_run: bool = False
    ) -> PhoneBinding:
        """Delete the route of a number, and return it. Raises NotFound, and Conflict if several routes may be meant.

        `binding_id` selects one of several routes, which only old data has. With `dry_run` nothing is deleted.
        """
        number = checked_number(number)
        found = self._bindings.of_number(number, checked_owner(tenant_id, "tenant_id"))
        if binding_id is not None:
            found = [binding for binding in found if binding.binding_id == binding_id]
        chosen = [binding for binding in found if binding.enabled] or found
        if len(chosen) > 1:
            ids = ", ".join(binding.binding_id for binding in chosen)
            raise Conflict(
                what=f"{number} has {len(chosen)} routes. Nothing was deleted.",
                hint=f"Name the binding to delete. The ids of its bindings are {ids}.",
            )
        if not chosen or not (dry_run or self._bindings.remove(chosen[0])):
            raise NotFound(
                kind_of_thing="route of the phone number",
                name=number,
                where=f" in {self._bindings.collection}",
                hint="To list the routes, run: chatstore agents numbers list.",
            )
        return chosen[0]

    def routes_to(self, agent_id: str, *, tenant_id: str | None = None) -> list[PhoneBinding]:
        """The live routes to an agent, at most 1,000: the numbers that the default agent answers once it is deleted."""
        agent_id, tenant_id = checked_agent_id(agent_id), checked_owner(tenant_id, "tenant_id")
        found = self._bindings.routes_to(agent_id, _MOST_ROUTES)
        return [each for each in found if tenant_id is None or each.tenant_id == tenant_id]

    def resolve_did(self, number: str, *, tenant_id: str | None = None) -> RoutedCall:
        """Which agent answers a call to a number. Without a usable route, the configured default agent answers.

        A route and its agent must belong to the same tenant, and to the tenant of the caller. Never raises NotFound.
        """
        number, tenant_id = checked_number(number), checked_owner(tenant_id, "tenant_id")
        found = self._bindings.of_number(number, tenant_id)
        live = [binding for binding in found if binding.enabled]
        doubled = len(live) if len(live) > 1 else 0
        if not found:
            return self._default(number, RouteReason.NO_ROUTE, f"{number} has no route")
        binding = found[0]
        if not live:
            return self._default(number, RouteReason.DISABLED, f"the route of {number} is disabled", binding)
        agent, reason, why = self._agent_of(binding, tenant_id)
        if agent is None:
            return self._default(number, reason, why, binding, doubled)
        return RoutedCall(number, agent, False, reason, f"{why}.", binding, doubled)

    def fault_of(self, binding: PhoneBinding) -> str | None:
        """Why a live route reaches no agent, as a part of a sentence; None if it reaches one. For `chatstore verify`."""
        agent, _, why = self._agent_of(binding, None)
        return why if agent is None else None

    def _agent_of(self, binding: PhoneBinding, tenant_id: str | None) -> tuple[Agent | None, RouteReason, str]:
        """The agent of a route, and why. For a tenant, another tenant's agent is one that does not exist."""
        agent_id = binding.agent_id
        if agent_id is None:
            return None, RouteReason.NO_AGENT, f"the route of {binding.number} has no agent"
        missing = f"{binding.number} is routed to agent {agent_id!r}, which does not exist"
        try:
            agent_id = checked_agent_id(agent_id)
        except InvalidAgent:
            return None, RouteReason.AGENT_MISSING, missing
        agent = self._agent(agent_id, tenant_id)
        if agent is not None:
            if agent.tenant_id == binding.tenant_id:
                return agent, RouteReason.ROUTED, f"{binding.number} is routed to agent {agent_id}"
            why = f"{binding.number} is routed to agent {agent_id}, which belongs to another tenant"
            return None, RouteReason.AGENT_OF_OTHER_TENANT, why
        if self._agents.find(agent_id, tenant_id, deleted=True, with_version=False) is not None:
            return None, RouteReason.AGENT_DELETED, f"{binding.number} is routed to agent {agent_id}, which is deleted"
        return None, RouteReason.AGENT_MISSING, missing

    def _default(
        self, number: str, reason: RouteReason, why: str, binding: PhoneBinding | None = None, doubled: int = 0
    ) -> RoutedCall:
        agent = None if self._default_agent is None else self._agent(checked_agent_id(self._default_agent), None)
        if agent is not None:
            end = f"so the default agent {agent.agent_id} answers"
        elif self._default_agent is None:
            end = "and no default agent is configured (chatstore.agents.default_agent)"
        else:
            end = f"and the default agent {self._default_agent} does not exist (chatstore.agents.default_agent)"
        return RoutedCall(number, agent, True, reason, f"{why[:1].upper()}{why[1:]}, {end}.", binding, doubled)

    def _agent(self, agent_id: str, tenant_id: str | None) -> Agent | None:
        agent = self._agents.find(agent_id, tenant_id, with_version=False)
        return agent or self._agents.find_keyed(agent_id, tenant_id)
