"""What `indexes` and `verify` do with saved agents on a real server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from bson import ObjectId

from tests.support.stored_agents import COLLECTION, DESK, OLD, PLAIN, store_agents

if TYPE_CHECKING:
    from pymongo.database import Database

    from tests.conftest import Chatstore

pytestmark = pytest.mark.real
OF_AGENTS = {COLLECTION, "agents", "agent_versions", "lk_telephony_bindings", "call_sessions", "states"}


def indexed(chatstore: Chatstore, *arguments: str, command: str = "check") -> dict[str, set[str]]:
    """The collections of agents and the states of their indexes."""
    outcome = chatstore("indexes", command, *arguments, "-o", "json")
    found: dict[str, set[str]] = {}
    for row in json.loads(outcome.out)["items"]:
        if row["collection"] in OF_AGENTS:
            found.setdefault(row["collection"], set()).add(row.get("state") or row["outcome"])
    return found


def test_indexes_of_agents_are_needed_once_there_are_agents(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    database["states"].insert_one({"_id": 1, "name": "Ohio", "capital": "Columbus"})
    database["call_sessions"].insert_one({"room": 7})
    assert indexed(chatstore) == {}
    assert indexed(chatstore, "--layout", "agents").keys() == OF_AGENTS - {COLLECTION, "states", "call_sessions"}
    store_agents(database)
    assert indexed(chatstore) == {COLLECTION: {"missing"}, "lk_telephony_bindings": {"missing"}}
    assert indexed(chatstore, command="apply") == {COLLECTION: {"done"}, "lk_telephony_bindings": {"done"}}
    assert indexed(chatstore) == {COLLECTION: {"ok"}, "lk_telephony_bindings": {"ok"}}
    assert set(database["states"].index_information()) == {"_id_"}


def test_two_collections_of_agents_are_no_reason_to_stop(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    store_agents(database)
    database["Agent"].insert_many(database[COLLECTION].find())
    assert COLLECTION not in indexed(chatstore)
    named = chatstore("indexes", "check", "--layout", "agents")
    assert (named.code, "chatstore.agents.collection" in named.err) == (8, True)
    [row] = json.loads(chatstore("verify", "--only", "agent-versions", "-o", "json").out)["items"]
    assert (row["status"], "both have documents" in row["detail"]) == ("skip", True)


def test_verify_names_agents_without_exactly_one_active_version(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    def versions() -> dict[str, Any]:
        [row] = json.loads(chatstore("verify", "--only", "agent-versions", "-o", "json").out)["items"]
        return dict(row)

    assert versions()["status"] == "skip"
    store_agents(database)
    assert (versions()["status"], versions()["detail"].split(";")[0]) == ("pass", "4 agents checked")
    agents = database[COLLECTION]
    agents.update_one({"_id": ObjectId(DESK)}, {"$set": {"versions.0.active": True}})
    agents.update_one({"_id": ObjectId(PLAIN)}, {"$set": {"versions": [{"versionId": OLD, "config": {}}]}})
    row = versions()
    assert row["status"] == "warn"
    assert f"{DESK} has 2 active versions" in row["detail"]
    assert f"{PLAIN} has 0 active versions" in row["detail"]
    assert "chatstore agents activate" in row["hint"]
    assert chatstore("agents", "activate", DESK, OLD).code == 0
    assert chatstore("agents", "update", PLAIN, "--set", "engine.llm=x").code == 0
    assert versions()["status"] == "pass"
