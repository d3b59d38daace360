"""`chatstore states` as a process on a real server, and the check of `verify` that reads states."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from bson import ObjectId

from chatstore_cli.render.output_format import OutputFormat
from tests.support.golden import TABLE_AND_JSON, check_golden

if TYPE_CHECKING:
    from pymongo.database import Database

    from tests.conftest import Chatstore

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]] if TYPE_CHECKING else Any


def ask(chatstore: Chatstore, *arguments: str, code: int = 0, stdin: str | None = None) -> Any:
    """The JSON that a command prints, or the JSON error of one that fails."""
    outcome = chatstore("states", *arguments, "-o", "json", stdin=stdin)
    assert outcome.code == code, outcome.err
    if code:
        assert outcome.out == ""
        return json.loads(outcome.err.splitlines()[-1])["error"]
    return json.loads(outcome.out)


def test_values_are_set_shown_and_unset(chatstore: Chatstore, database: Documents) -> None:
    row = ask(chatstore, "set", "ana", "s-1", "cart.total", "12.5")
    assert (row["path"], row["current_agent_id"], row["result"]) == ("cart.total", None, "set")
    assert row["target"]
    ask(chatstore, "set", "ana", "s-1", 'prices["a.b"].$set', '{"currency": "EUR", "api_key": "k-1"}')
    ask(chatstore, "set", "ana", "s-1", "items", "--file", "-", stdin="- tea\n- {name: cup}\n")
    assert ask(chatstore, "set", "ana", "s-1", "--agent", "sales")["current_agent_id"] == "sales"
    data = {
        "cart": {"total": 12.5},
        "prices": {"a.b": {"$set": {"currency": "EUR", "api_key": "********"}}},
        "items": ["tea", {"name": "cup"}],
    }
    state = ask(chatstore, "get", "ana", "s-1")
    assert state == {"user_id": "ana", "session_id": "s-1", "current_agent_id": "sales", "data": data}
    revealed = ask(chatstore, "get", "ana", "s-1", 'prices["a.b"].$set.api_key', "--reveal")
    assert revealed["value"] == "k-1"
    assert ask(chatstore, "get", "ana", "s-1", "items[1].name")["value"] == "cup"
    assert ask(chatstore, "unset", "ana", "s-1", "items[0]")["result"] == "unset"
    [stored] = database["states"].find()
    assert stored["data"]["items"] == [{"name": "cup"}]
    assert stored["data"]["prices"] == {"a.b": {"$set": {"currency": "EUR", "api_key": "k-1"}}}
    ask(chatstore, "set", "ana", "s-1", "--no-agent")
    assert ask(chatstore, "get", "ana", "s-1")["current_agent_id"] is None


def test_exit_statuses(chatstore: Chatstore, database: Documents) -> None:
    state = {"_id": ObjectId(), "user_id": "ana", "session_id": "s-1", "current_agent_id": None, "data": {"a": "text"}}
    database["states"].insert_one(state)
    for arguments in (("get", "ben", "s-1"), ("get", "ana", "s-1", "b"), ("unset", "ana", "s-1", "a.b")):
        assert ask(chatstore, *arguments, code=3)["kind"] == "not_found"
    assert ask(chatstore, "set", "ana", "s-1", "a.b", "1", code=8)["kind"] == "conflict"
    wrong: list[tuple[str, ...]] = [
        ("set", "ana", "s-1"), ("set", "ana", "s-1", "a"), ("set", "ana", "s-1", "a", "1", "--agent", "x"),
        ("set", "ana", "s-1", "a..b", "1"), ("set", "ana", "s-1", "a", "{1"), ("set", "ana", "s-1", "a", "********"),
        ("set", "", "s-1", "a", "1"), ("get", "ana", "s-1", "a["), ("list", "--cursor", "x"),
    ]  # fmt: skip
    for arguments in wrong:
        ask(chatstore, *arguments, code=2)
    refused = ask(chatstore, "set", "ana", "s-1", "a", "--file", "-", stdin="a: &x 1\nb: *x\n", code=2)
    assert "line 1" in refused["message"]
    ask(chatstore, "set", "ana", "s-1", "a", "1", "--read-only", code=4)
    assert list(database["states"].find()) == [state]


GOLDEN_COMMANDS = {
    "states-list": ("states", "list", "--limit", "2"),
    "states-get": ("states", "get", "ana", "s-1"),
    "states-get-value": ("states", "get", "ana", "s-1", "cart"),
}


@pytest.fixture(scope="module")
def reader(module_database: Documents, module_chatstore: Chatstore) -> Chatstore:
    """The command over three states."""
    data = {
        "cart": {"items": ["tea", 2, True, None], "a.b": 1.5},
        "token": "t-1",
        "text": "=1+1\x1b[2J\u202e",
        "none": {},
    }
    module_database["states"].insert_many(
        [
            {"user_id": "ben", "session_id": "s-3", "data": {}},
            {"user_id": "ana", "session_id": "s-2", "current_agent_id": ObjectId("65bb00000000000000000001")},
            {"user_id": "ana", "session_id": "s-1", "current_agent_id": "sales", "data": data},
        ]
    )
    return module_chatstore


@pytest.mark.parametrize("output", TABLE_AND_JSON)
@pytest.mark.parametrize("name", GOLDEN_COMMANDS)
def test_output_is_byte_for_byte_what_it_was(reader: Chatstore, name: str, output: OutputFormat) -> None:
    check_golden(reader, name, GOLDEN_COMMANDS[name], output)


def test_verify_names_current_agents_that_are_missing_or_deleted(chatstore: Chatstore, database: Documents) -> None:
    def row() -> dict[str, Any]:
        outcome = chatstore("verify", "--only", "agent-states", "-o", "json")
        [found] = json.loads(outcome.out)["items"]
        return dict(found)

    def state(number: int, agent: Any) -> None:
        database["states"].insert_one(
            {"user_id": "u", "session_id": str(number), "current_agent_id": agent, "data": {}}
        )

    now = database.client.admin.command("hello")["localTime"]
    live, deleted = ObjectId(), ObjectId()
    platform = {"name": "a", "config": {}, "createdAt": now, "updatedAt": now}
    database["agents"].insert_many(
        [
            {"_id": live, **platform, "deletedAt": None},
            {"_id": deleted, **platform, "deletedAt": now},
            {"_id": ObjectId(), "agent_id": "sales"},
        ]
    )
    for number, agent in enumerate((str(live), live, "sales", None, "")):
        state(number, agent)
    assert (row()["status"], row()["detail"]) == ("pass", "2 current agents of 3 states looked up")
    for number, agent in enumerate((str(deleted), str(deleted), "lost", "f" * 24), start=9):
        state(number, agent)
    found = row()
    assert found["status"] == "warn"
    for text in (
        f"agent {deleted} is deleted (2 states)",
        "agent 'lost' does not exist (1 state)",
        "f' does not exist",
    ):
        assert text in found["detail"]
    assert "chatstore states set" in found["hint"]
