"""The phone numbers that agents answer, over HTTP and a real database."""

from __future__ import annotations

import pytest
from bson import ObjectId

from tests.support.stored_agents import DESK, FOREIGN, NUMBER, PLAIN, store_agents

FIELDS = ["id", "orgId", "integrationId", "provider", "providerNumberId", "e164", "agentId", "enabled", "createdAt"]
FIELDS += ["updatedAt"]
ACCOUNT, NOWHERE = "65dd000000000000000000aa", "f" * 24
CONNECT = "/v1/telephony/providers/twilio/numbers/PN7/connect"
FREE = "+4930999999"


def test_a_number_from_its_first_route_to_its_last(emptied, module_database):
    client = emptied.client
    store_agents(module_database)
    module_database.lk_telephony_bindings.delete_many({})
    bound = client.post(f"{CONNECT}?integrationId={ACCOUNT}", json={"e164": " 4930123456 ", "agentId": DESK.upper()})
    assert bound.status_code == 200
    binding = bound.json()
    assert list(binding) == FIELDS
    assert (binding["orgId"], binding["integrationId"], binding["provider"]) == ("acme", ACCOUNT, "twilio")
    assert (binding["providerNumberId"], binding["e164"]) == ("PN7", NUMBER)
    assert (binding["agentId"], binding["enabled"]) == (DESK, True)
    stored = module_database.lk_telephony_bindings.find_one()
    assert stored["integrationId"] == ObjectId(ACCOUNT)
    assert client.get("/v1/telephony/bindings").json() == {"bindings": [binding]}
    assert client.get("/telephony/bindings").json() == {"bindings": [binding]}
    without = client.post(CONNECT, json={"e164": NUMBER}).json()
    assert without == binding | {"agentId": None, "updatedAt": without["updatedAt"]}
    again = client.post(CONNECT.replace("/v1", "", 1), json={"e164": NUMBER, "agentId": PLAIN}).json()
    assert (again["id"], again["agentId"], again["integrationId"]) == (binding["id"], PLAIN, ACCOUNT)
    taken = client.post(CONNECT, json={"e164": NUMBER, "agentId": FOREIGN})
    assert taken.status_code == 409
    deleted = client.delete(f"/v1/telephony/bindings/{binding['id']}")
    assert (deleted.status_code, deleted.json()) == (200, {"ok": True})
    for name in (binding["id"], NOWHERE, "x", "x" * 3000):
        missing = client.delete(f"/telephony/bindings/{name}")
        assert (missing.status_code, missing.json()) == (404, {"error": f"Binding {name} not found"})
    assert module_database.lk_telephony_bindings.count_documents({}) == 0
    nobodys = client.post(CONNECT, json={"e164": FREE}).json()
    assert (nobodys["orgId"], nobodys["agentId"], nobodys["integrationId"]) == (None, None, None)


@pytest.mark.parametrize("number", ["", "12", "+0123456789", "+49 30 123456", "+1234567890123456", "+4930123456\0"])
def test_what_is_not_a_number_is_rejected(off, number):
    answer = off.client.post(CONNECT, json={"e164": number})
    assert answer.status_code == 400
    assert answer.json()["error"] == "e164 must be a valid E.164 phone number"
    assert [issue["path"] for issue in answer.json()["issues"]] == [["e164"]]


def test_an_agent_must_exist(emptied, module_database):
    for agent_id, status, text in (
        (NOWHERE, 404, "Agent not found"),
        ("x", 400, "agentId must be a valid Mongo ObjectId"),
    ):
        answer = emptied.client.post(CONNECT, json={"e164": FREE, "agentId": agent_id})
        assert (answer.status_code, answer.json()["error"]) == (status, text)
    assert module_database.lk_telephony_bindings.count_documents({}) == 0


def test_all_numbers_are_listed_the_newest_first(emptied, module_database):
    module_database.lk_telephony_bindings.insert_many(
        [{"e164": f"+49301{n:06}", "enabled": n % 2 == 0, "deletedAt": None} for n in range(450)]
    )
    listed = emptied.client.get("/v1/telephony/bindings").json()["bindings"]
    assert [each["e164"] for each in listed] == [f"+49301{n:06}" for n in range(449, -1, -1)]
    last = listed[-1]["id"]
    assert emptied.client.delete(f"/v1/telephony/bindings/{last}").json() == {"ok": True}


def test_a_tenant_cannot_learn_of_a_number_of_another_one(server, database):
    """A number that another tenant has and one that nobody has are one and the same."""
    store_agents(database)
    acme, globex, client = server.key("acme"), server.key("globex"), server.client
    [binding] = client.get("/v1/telephony/bindings", headers=acme).json()["bindings"]
    assert client.get("/v1/telephony/bindings", headers=globex).json() == {"bindings": []}
    for body in ({"agentId": FOREIGN}, {}, {"agentId": DESK}):
        foreign = client.post(CONNECT, json={"e164": NUMBER} | body, headers=globex)
        free = client.post(CONNECT, json={"e164": FREE} | body, headers=globex)
        assert (foreign.status_code, free.status_code) == (404, 404)
        assert foreign.json() == {"error": f"Number {NUMBER} not found"}
        assert free.json() == {"error": f"Number {FREE} not found"}
    for binding_id in (binding["id"], NOWHERE):
        gone = client.delete(f"/v1/telephony/bindings/{binding_id}", headers=globex)
        assert (gone.status_code, gone.json()) == (404, {"error": f"Binding {binding_id} not found"})
    for agent_id in (FOREIGN, NOWHERE):  # its own number, and not its own agent
        answer = client.post(CONNECT, json={"e164": NUMBER, "agentId": agent_id}, headers=acme)
        assert (answer.status_code, answer.json()) == (404, {"error": "Agent not found"})
    mine = client.post(CONNECT, json={"e164": NUMBER, "agentId": PLAIN}, headers=acme).json()
    assert (mine["id"], mine["agentId"]) == (binding["id"], PLAIN)
    everybody = server.key()
    assigned = client.post(CONNECT, json={"e164": FREE, "agentId": FOREIGN}, headers=everybody).json()
    assert assigned["orgId"] == "globex"
    assert client.post(CONNECT, json={"e164": FREE}, headers=globex).json()["agentId"] is None
    assert client.delete(f"/v1/telephony/bindings/{binding['id']}", headers=acme).json() == {"ok": True}


def test_a_number_that_another_tenant_takes_meanwhile_is_not_found(server, database, monkeypatch):
    from chatstore_cli.mongo.phone_numbers.store import MongoBindingStore

    store_agents(database)
    acme, bind = server.key("acme"), MongoBindingStore.bind

    def after_another_tenant(store, *arguments):
        database.lk_telephony_bindings.update_one({}, {"$set": {"orgId": "globex"}})
        return bind(store, *arguments)

    monkeypatch.setattr(MongoBindingStore, "bind", after_another_tenant)
    answer = server.client.post(CONNECT, json={"e164": NUMBER, "agentId": DESK}, headers=acme)
    assert (answer.status_code, answer.json()) == (404, {"error": f"Number {NUMBER} not found"})
