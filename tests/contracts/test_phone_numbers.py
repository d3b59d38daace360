"""The contract of phone numbers, in memory and on real servers: bindings, their one live route, and the called agent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.agents.registry import AgentRegistryService
from chatstore_cli.core.phone_numbers.routing import PhoneNumbers
from chatstore_cli.core.verify.phone_numbers import route_verdict
from chatstore_cli.domain.checks import CheckStatus
from chatstore_cli.domain.errors import (
    AgentNotFound,
    BadValue,
    Conflict,
    ForeignCollection,
    InvalidAgent,
    InvalidPhoneNumber,
    NotFound,
)
from chatstore_cli.domain.phone_numbers import RouteReason, checked_number
from chatstore_cli.mongo.agents.store import MongoAgentStore
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.phone_numbers.sample import MongoBindingSample
from chatstore_cli.mongo.phone_numbers.store import MongoBindingStore

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
NUMBER, OTHER = "+4930123456", "+4930999999"
NOWHERE = "f" * 24


@dataclass
class Numbers:
    """The services over an empty database."""

    connection: Connection
    agents: AgentRegistryService

    def numbers(self, default: str | None = None) -> PhoneNumbers:
        """The phone numbers with a default agent."""
        bindings = MongoBindingStore(self.connection, Settings(), server_now=lambda: NOON)
        agents = MongoAgentStore(self.connection, Settings(), server_now=lambda: NOON)
        return PhoneNumbers(bindings, agents, default_agent=default)

    def agent(self, name: str, tenant: str | None = None) -> str:
        """The id of a new agent."""
        return self.agents.create_agent(name, tenant_id=tenant).agent_id

    def stored(self, **fields: Any) -> str:
        """The id of a binding as the platform stores it."""
        document = {
            "_id": ObjectId(),
            "orgId": "acme",
            "integrationId": ObjectId("65e0000000000000000000aa"),
            "provider": "telnyx",
            "providerNumberId": "pn-1",
            "e164": NUMBER,
            "agentId": None,
            "enabled": True,
            "deletedAt": None,
            "createdAt": NOON,
            "updatedAt": NOON,
            "__v": 0,
            **fields,
        }
        self.connection.database["lk_telephony_bindings"].insert_one(document)
        return str(document["_id"])

    def documents(self) -> list[dict[str, Any]]:
        """The stored bindings."""
        return list(self.connection.database["lk_telephony_bindings"].find().sort("_id", 1))


@pytest.fixture
def connection(each_connection: Connection) -> Connection:
    """An empty database."""
    return each_connection


@pytest.fixture
def world(connection: Connection) -> Numbers:
    """The services over an empty database."""
    return Numbers(connection, AgentRegistryService(MongoAgentStore(connection, Settings(), server_now=lambda: NOON)))


@pytest.mark.parametrize("given", [NUMBER, "4930123456", " +4930123456\n", "\t4930123456 "])
def test_a_number_is_trimmed_and_its_plus_is_completed(given: str) -> None:
    assert checked_number(given) == NUMBER


@pytest.mark.parametrize(
    "given",
    ["", " ", "+", "+0930123456", "0049301234", "+4930 123456", "+49abc12345", "+1234567", "+1234567890123456", "++4930123456",
     "+４９３０１２３４５６", "+4930123456\n1", None, 4930123456],
)  # fmt: skip
def test_everything_else_is_no_number(world: Numbers, given: Any) -> None:
    for use in (checked_number, world.numbers().resolve_did, world.numbers().unbind):
        with pytest.raises(InvalidPhoneNumber, match=r"^e164 must be a valid E.164 phone number$"):
            use(given)


def test_the_longest_and_the_shortest_number() -> None:
    for text in ("+123456789012345", "+12345678"):
        assert checked_number(text) == text


def test_a_bound_number_is_stored_as_the_platform_stores_it_and_reaches_its_agent(world: Numbers) -> None:
    agent = world.agent("support", "acme")
    bound = world.numbers().bind("4930123456", agent.upper(), tenant_id="acme")
    [document] = world.documents()
    assert document == {
        "_id": ObjectId(bound.binding_id),
        "orgId": "acme",
        "e164": NUMBER,
        "agentId": agent,
        "enabled": True,
        "deletedAt": None,
        "createdAt": NOON,
        "updatedAt": NOON,
        "__v": 0,
    }
    for tenant in ("acme", None):
        call = world.numbers().resolve_did(NUMBER, tenant_id=tenant)
        assert call.agent is not None
        assert (call.agent.agent_id, call.reason, call.is_default, call.binding) == (agent, "routed", False, bound)


def test_binding_again_changes_the_agent_and_keeps_what_the_platform_stored(world: Numbers) -> None:
    first, second = world.agent("a", "acme"), world.agent("b", "acme")
    identity = world.stored(agentId=first, enabled=False)
    bound = world.numbers().bind(NUMBER, second, tenant_id="acme")
    [document] = world.documents()
    assert (bound.binding_id, bound.agent_id, bound.enabled) == (identity, second, True)
    assert (bound.provider, bound.integration_id) == ("telnyx", "65e0000000000000000000aa")
    assert (document["provider"], document["agentId"], document["enabled"]) == ("telnyx", second, True)


def test_a_number_has_one_live_route_over_all_tenants(world: Numbers) -> None:
    ours, theirs, nobodys = world.agent("a", "acme"), world.agent("b", "other"), world.agent("c")
    world.numbers().bind(NUMBER, ours, tenant_id="acme")
    before = world.documents()
    for agent, tenant in ((theirs, "other"), (theirs, None), (nobodys, None)):
        with pytest.raises(Conflict, match="is routed by another tenant") as refused:
            world.numbers().bind(NUMBER, agent, tenant_id=tenant)
        assert "acme" not in refused.value.as_text()
    assert world.documents() == before
    world.numbers().unbind(NUMBER, tenant_id="acme")
    assert world.numbers().bind(NUMBER, theirs, tenant_id="other").tenant_id == "other"


def test_a_disabled_route_of_another_tenant_does_not_block_a_number(world: Numbers) -> None:
    world.stored(orgId="other", enabled=False)
    assert world.numbers().bind(NUMBER, world.agent("a", "acme"), tenant_id="acme").enabled
    assert [(each["orgId"], each["enabled"]) for each in world.documents()] == [("other", False), ("acme", True)]


def test_only_an_agent_of_the_same_tenant_can_be_bound(world: Numbers) -> None:
    deleted = world.agent("gone", "acme")
    world.agents.delete_agent(deleted)
    for agent in (world.agent("theirs", "other"), world.agent("nobody's"), deleted, NOWHERE):
        with pytest.raises(AgentNotFound, match=r"^Agent not found$"):
            world.numbers().bind(NUMBER, agent, tenant_id="acme")
    with pytest.raises(InvalidAgent, match="agentId must be a valid Mongo ObjectId"):
        world.numbers().bind(NUMBER, "support")
    assert world.documents() == []


def test_a_tenant_sees_and_unbinds_its_own_numbers_only(world: Numbers) -> None:
    world.numbers().bind(NUMBER, world.agent("a", "acme"), tenant_id="acme")
    numbers = world.numbers()
    assert numbers.list_numbers(tenant_id="other").bindings == ()
    assert numbers.resolve_did(NUMBER, tenant_id="other").reason is RouteReason.NO_ROUTE
    with pytest.raises(NotFound):
        numbers.unbind(NUMBER, tenant_id="other")
    assert numbers.unbind(NUMBER, tenant_id="acme").number == NUMBER
    assert world.documents() == []
    with pytest.raises(NotFound, match=r"No route of the phone number '\+4930123456' in lk_telephony_bindings"):
        numbers.unbind(NUMBER, tenant_id="acme")


def test_pages_are_complete_and_newest_first(world: Numbers) -> None:
    agent = world.agent("a", "acme")
    bound = [world.numbers().bind(f"+4930123{n:03d}", agent).number for n in range(7)]
    world.stored(e164="+4911111111", deletedAt=NOON)
    world.connection.database["lk_telephony_bindings"].insert_one({"e164": "+4911111112", "note": "another product's"})
    for size in (1, 3, 7, 50):
        found, cursor = [], None
        while True:
            page = world.numbers().list_numbers(limit=size, cursor=cursor)
            found += [binding.number for binding in page.bindings]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert found == bound[::-1]
    for wrong in ({"limit": 0}, {"limit": 201}, {"cursor": "x"}, {"cursor": "F" * 24}):
        with pytest.raises(BadValue):
            world.numbers().list_numbers(**wrong)


@pytest.mark.parametrize("default", ["configured", "missing", None])
def test_without_a_usable_route_the_default_agent_answers_and_the_result_says_why(
    world: Numbers, default: str | None
) -> None:
    support = world.agent("support", "acme")
    configured = {"configured": world.agent("default"), "missing": NOWHERE, None: None}[default]
    deleted, theirs = world.agent("gone", "acme"), world.agent("theirs", "other")
    world.agents.delete_agent(deleted)
    ends = {
        "configured": f"so the default agent {configured} answers.",
        "missing": f"and the default agent {NOWHERE} does not exist (chatstore.agents.default_agent).",
        None: "and no default agent is configured (chatstore.agents.default_agent).",
    }
    cases: list[tuple[dict[str, Any] | None, str, str]] = [
        (None, "no_route", f"{NUMBER} has no route"),
        ({"deletedAt": NOON, "agentId": support}, "no_route", f"{NUMBER} has no route"),
        ({"enabled": False, "agentId": support}, "disabled", f"The route of {NUMBER} is disabled"),
        ({"enabled": 1, "agentId": support}, "disabled", f"The route of {NUMBER} is disabled"),
        ({"agentId": None}, "no_agent", f"The route of {NUMBER} has no agent"),
        ({"agentId": ""}, "no_agent", f"The route of {NUMBER} has no agent"),
        ({"agentId": "x"}, "agent_missing", f"{NUMBER} is routed to agent 'x', which does not exist"),
        ({"agentId": NOWHERE[:-1] + "e"}, "agent_missing", "which does not exist"),
        ({"agentId": deleted}, "agent_deleted", f"{NUMBER} is routed to agent {deleted}, which is deleted"),
        ({"agentId": theirs}, "agent_of_other_tenant", f"agent {theirs}, which belongs to another tenant"),
    ]
    for fields, reason, why in cases:
        if fields is not None:
            world.stored(**fields)
        for tenant in (None, "acme"):
            call = world.numbers(configured).resolve_did("4930123456", tenant_id=tenant)
            if tenant is not None and reason == "agent_of_other_tenant":  # a tenant is not told that it exists
                reason, why = "agent_missing", f"agent '{theirs}', which does not exist"
            assert (str(call.reason), call.is_default) == (reason, True)
            assert why in call.explanation
            assert call.explanation.endswith(ends[default])
            found = None if call.agent is None else call.agent.agent_id
            assert found == (configured if default == "configured" else None)
        world.connection.database["lk_telephony_bindings"].delete_many({})


def test_two_live_routes_of_old_data_are_named_and_the_oldest_is_used(world: Numbers) -> None:
    first, second = world.agent("a", "acme"), world.agent("b", "other")
    world.stored(_id=ObjectId("65e000000000000000000002"), orgId="other", agentId=second)
    world.stored(_id=ObjectId("65e000000000000000000001"), agentId=first)
    call = world.numbers().resolve_did(NUMBER)
    assert call.agent is not None
    assert (call.agent.agent_id, call.doubled) == (first, 2)
    with pytest.raises(Conflict, match="has 2 routes"):
        world.numbers().unbind(NUMBER)
    verdict = route_verdict(
        MongoBindingSample(world.connection, Settings(), sample=10, seconds=5), world.numbers().fault_of, 5
    )
    assert verdict.status is CheckStatus.FAIL
    assert verdict.detail == f"{NUMBER} has 2 live routes; 2 routes followed"
    removed = world.numbers().unbind(NUMBER, binding_id="65e000000000000000000002")
    assert removed.tenant_id == "other"
    assert world.numbers().resolve_did(NUMBER).doubled == 0


@pytest.mark.real
def test_a_number_with_two_live_routes_keeps_all_numbers_from_being_bound(world: Numbers) -> None:
    if world.connection.in_memory:
        pytest.skip("mongomock cannot reject an index")
    agent = world.agent("a", "acme")
    for _ in range(2):
        world.stored(agentId=agent)
    with pytest.raises(Conflict, match=r"is not unique: '\+4930123456', True is in 2 documents"):
        world.numbers().bind(OTHER, agent)
    assert len(world.documents()) == 2


def test_verify_follows_routes_to_deleted_missing_and_foreign_agents(world: Numbers) -> None:
    def verdict() -> Any:
        sample = MongoBindingSample(world.connection, Settings(), sample=10, seconds=5)
        return route_verdict(sample, world.numbers().fault_of, 5)

    assert verdict().status is CheckStatus.SKIP
    agent = world.agent("a", "acme")
    world.numbers().bind(NUMBER, agent)
    assert verdict() == (CheckStatus.PASS, "1 route followed", None)
    world.agents.delete_agent(agent)
    found = verdict()
    assert found.status is CheckStatus.WARN
    assert found.detail == f"1 route followed; {NUMBER} is routed to agent {agent}, which is deleted"


def test_the_numbers_that_a_deletion_concerns(world: Numbers) -> None:
    agent, other = world.agent("a", "acme"), world.agent("b", "acme")
    world.numbers().bind(NUMBER, agent)
    world.numbers().bind("+4930777777", other)
    world.stored(e164=OTHER, agentId=agent.upper())
    world.stored(e164="+4930888888", agentId=agent, enabled=False)
    numbers = world.numbers()
    assert [each.number for each in numbers.routes_to(agent)] == [NUMBER, OTHER]
    assert numbers.routes_to(agent, tenant_id="other") == []


def test_a_collection_of_another_product_is_not_written(world: Numbers) -> None:
    agent = world.agent("a", "acme")
    world.connection.database["lk_telephony_bindings"].insert_many([{"call": n} for n in range(20)])
    with pytest.raises(ForeignCollection):
        world.numbers().bind(NUMBER, agent)
    assert world.numbers().list_numbers().bindings == ()
    assert world.connection.database["lk_telephony_bindings"].count_documents({}) == 20
