"""Phone numbers, and the bindings that route them to agents."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from chatstore_cli.domain.errors import InvalidPhoneNumber

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chatstore_cli.domain.agents.models import Agent

_E164 = re.compile(r"\+[1-9][0-9]{7,14}")


def checked_number(number: object) -> str:
    """A phone number in the form of E.164, such as +4930123456.

    White space around it is removed, and a missing `+` is added. Raises InvalidPhoneNumber.
    """
    text = number.strip() if isinstance(number, str) else ""
    if text and not text.startswith("+"):
        text = f"+{text}"
    if not _E164.fullmatch(text):
        raise InvalidPhoneNumber(hint="It has 8 to 15 digits after the +, and the first one is not 0: +4930123456.")
    return text


@dataclass(frozen=True, slots=True)
class PhoneBinding:
    """The route of a phone number of one tenant. It is live if it is `enabled`.

    `agent_id` is None if the number has no agent. `provider`, `integration_id` and `provider_number_id` name the number at
    its telephony provider, as far as they are known.
    """

    binding_id: str
    number: str
    tenant_id: str | None
    agent_id: str | None
    enabled: bool
    provider: str | None = None
    integration_id: str | None = None
    provider_number_id: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ProviderNumber:
    """The telephony provider's names of a phone number: the id of the number, and the id of the account."""

    provider: str
    number_id: str
    integration_id: str | None = None


@dataclass(frozen=True, slots=True)
class BindingPage:
    """Bindings, the newest first. `next_cursor` is None at the end."""

    bindings: tuple[PhoneBinding, ...]
    next_cursor: str | None = None


class RouteReason(StrEnum):
    """Why the agent of a route, or the default agent, answers a call to a number."""

    ROUTED = "routed"
    NO_ROUTE = "no_route"
    DISABLED = "disabled"
    NO_AGENT = "no_agent"
    AGENT_MISSING = "agent_missing"
    AGENT_DELETED = "agent_deleted"
    AGENT_OF_OTHER_TENANT = "agent_of_other_tenant"


@dataclass(frozen=True, slots=True)
class RoutedCall:
    """Which agent answers a call to a number, and why.

    `agent` is None if the configured default agent answers and none is configured, or it does not exist. `is_default`: the
    number has no usable route. `binding` is the route that was found, also if it is not usable. `explanation` is a sentence
    for people. `doubled` is the number of live routes if there are several; the oldest one is used.
    """

    number: str
    agent: Agent | None
    is_default: bool
    reason: RouteReason
    explanation: str
    binding: PhoneBinding | None = None
    doubled: int = 0


class BindingStore(Protocol):
    """The bindings of phone numbers in one database.

    `tenant_id` None is the operator, who may use the bindings of all tenants. A binding that is marked as deleted is treated
    like one that does not exist. Methods raise Unreachable, NotAllowed and ForeignCollection.
    """

    collection: str

    def page(self, tenant_id: str | None, before: str | None, limit: int) -> list[PhoneBinding]:
        """At most `limit` bindings, the newest first, that are older than the binding with the id `before`."""

    def find(self, binding_id: str, tenant_id: str | None) -> PhoneBinding | None:
        """The binding with the id."""

    def of_number(self, number: str, tenant_id: str | None) -> list[PhoneBinding]:
        """The bindings of a number: live ones first, the oldest first."""

    def bind(
        self, number: str, agent_id: str | None, owner: str | None, at: ProviderNumber | None = None
    ) -> PhoneBinding:
        """Route a number of a tenant to an agent: change the tenant's binding of that number, or store a new one.

        With `agent_id` None the number has no agent, with `owner` None no tenant. `at` None keeps what is stored of the
        provider. Raises Conflict if the number has a live route of another owner.
        """

    def remove(self, binding: PhoneBinding) -> bool:
        """Delete a binding, if it is still one of the same number and tenant. Returns whether it was deleted."""

    def routes_to(self, agent_id: str, limit: int) -> list[PhoneBinding]:
        """At most `limit` live bindings of an agent."""


class BindingSample(Protocol):
    """Bindings for `chatstore verify`. A method returns None if its time limit passed."""

    collection: str

    def live(self) -> Sequence[PhoneBinding] | None:
        """Random live bindings that have an agent, or all if there are few."""

    def doubled(self) -> Sequence[tuple[str, int]] | None:
        """Some numbers that have more than one live route, and how many."""
