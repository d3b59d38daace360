"""The contract of the states of a Python agent, in memory and on a real server."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from bson import ObjectId

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.agent_states.states import AgentStates
from chatstore_cli.domain.agent_states import AgentState
from chatstore_cli.domain.errors import BadValue, Conflict, ForeignCollection, InvalidAgent, WrongUse
from chatstore_cli.mongo.agent_states.store import MongoAgentStateStore
from chatstore_cli.mongo.connection import Connection
from tests.support.bson_values import NUMBERS, OTHERS

ODD_KEYS = ["a.b", "$set", "$", "", ".", "__proto__", "0", "[0]", 'a"b', "x y", "$a.$b", "é", "_id", "$[]", "$ref"]


@pytest.fixture
def states(any_connection: Connection) -> AgentStates:
    return AgentStates(MongoAgentStateStore(any_connection, Settings()))


def data_of(states: AgentStates) -> dict[str, Any]:
    state = states.get_state("ana", "s-1")
    assert state is not None
    return state.data


def test_the_first_change_creates_the_state(states: AgentStates, any_connection: Connection) -> None:
    assert states.get_state("ana", "s-1") is None
    assert states.get_value("ana", "s-1", "cart.total", default=0) == 0
    states.set_value("ana", "s-1", "cart.total", 3)
    states.set_current_agent("ana", "s-2", "travel")
    assert states.get_state("ana", "s-1") == AgentState("ana", "s-1", None, {"cart": {"total": 3}})
    assert states.get_state("ana", "s-2") == AgentState("ana", "s-2", "travel", {})
    stored = list(any_connection.database["states"].find({}, {"_id": 0}))
    assert stored[0] == {
        "user_id": "ana",
        "session_id": "s-1",
        "current_agent_id": None,
        "data": {"cart": {"total": 3}},
    }


def test_a_change_is_of_one_path(states: AgentStates) -> None:
    states.set_value("ana", "s-1", "cart", {"items": [{"name": "tea"}, {"name": "cup"}], "total": 3})
    states.set_value("ana", "s-1", "cart.items[1].name", "pot")
    states.set_value("ana", "s-1", "cart.items[2]", None)
    states.set_value("ana", "s-1", "cart.coupon.code", "TEA")
    states.set_current_agent("ana", "s-1", "sales")
    states.set_current_agent("ana", "s-1", None)
    items = [{"name": "tea"}, {"name": "pot"}, None]
    assert data_of(states) == {"cart": {"items": items, "total": 3, "coupon": {"code": "TEA"}}}
    assert states.get_value("ana", "s-1", "cart.items[1].name") == "pot"
    assert states.get_value("ana", "s-1", ["cart", "items", 3], "none") == "none"
    assert states.unset_value("ana", "s-1", "cart.items[0]")
    assert states.unset_value("ana", "s-1", "cart.total")
    assert data_of(states) == {"cart": {"items": items[1:], "coupon": {"code": "TEA"}}}
    for missing in ("cart.total", "cart.items[2]", "cart.items.name", "cart.coupon.code.x", ["a.b"]):
        assert not states.unset_value("ana", "s-1", missing)
    assert not states.unset_value("ben", "s-1", "cart")


@pytest.mark.parametrize("key", ODD_KEYS)
def test_any_key_is_a_key(states: AgentStates, key: str) -> None:
    states.set_value("ana", "s-1", ["plain", "other"], 1)
    for path in ([key], ["plain", key], ["deep", key, key], ["deep", "x", key, "y"]):
        states.set_value("ana", "s-1", path, {"value": [path], key: key} if key != "$ref" else 7)
        assert states.get_value("ana", "s-1", path) == ({"value": [path], key: key} if key != "$ref" else 7)
    states.set_value("new", "s-1", [key, key], 1)
    assert states.get_value("new", "s-1", [key, key]) == 1
    assert data_of(states)["plain"] == {"other": 1, key: states.get_value("ana", "s-1", ["plain", key])}
    assert states.unset_value("ana", "s-1", ["plain", key])
    assert not states.unset_value("ana", "s-1", ["plain", key])
    assert data_of(states)["plain"] == {"other": 1}


@pytest.mark.parametrize("path", ["text.x", "text[0]", "list.x", "list[5]", "none.x", ["text", "a.b"], ["list", "0"]])
def test_a_value_on_the_way_is_not_replaced(states: AgentStates, path: Any) -> None:
    before = {"text": "a", "list": [1, {"x": 1}], "none": None}
    for name, value in before.items():
        states.set_value("ana", "s-1", name, value)
    if states._store._connection.in_memory and path in ("text.x", "list.x", "none.x"):
        pytest.skip("mongomock cannot leave such a value as it is")
    with pytest.raises(Conflict, match="Nothing was changed"):
        states.set_value("ana", "s-1", path, 1)
    assert not states.unset_value("ana", "s-1", path)
    assert data_of(states) == before


def test_wrong_values_are_rejected(states: AgentStates, any_connection: Connection) -> None:
    nested: Any = 1
    for _ in range(100):
        nested = [nested]
    wrong: list[Any] = [{1: 2}, {"a\0b": 1}, "\ud800", 2**63, object(), nested, "x" * (12 << 20), {"a": {3}}]
    for value in wrong:
        with pytest.raises(InvalidAgent):
            states.set_value("ana", "s-1", "a", value)
    paths: list[Any] = [
        "",
        "a..b",
        "a[",
        [],
        [0],
        ["a", -1],
        ["a", True],
        ["a", None],
        ["a\0"],
        ["\udc00"],
        ["a"] * 101,
    ]
    for path in paths:
        with pytest.raises(WrongUse):
            states.set_value("ana", "s-1", path, 1)
    for user, session in (("", "s"), ("u", ""), (None, "s"), ("u", 3), ("u" * 501, "s"), ("\ud800", "s")):
        with pytest.raises(InvalidAgent):
            states.get_state(user, session)
    for limit in (0, 201, True, "5"):
        with pytest.raises(BadValue):
            states.list_states(limit=limit)
    for cursor in ("x", "W10", "WzEsMl0", "é"):
        with pytest.raises(BadValue):
            states.list_states(cursor=cursor)
    assert any_connection.database.list_collection_names() == []


def test_the_bounds_of_depth_and_size_are_stored(states: AgentStates) -> None:
    value: Any = "end"
    for _ in range(98):
        value = {"k": value}
    states.set_value("ana", "s-1", "a", value)
    states.set_value("ana", "s-1", ["b"] * 100, "x" * (11 << 20))
    assert states.get_value("ana", "s-1", "a") == value
    assert states.get_value("ana", "s-1", ["b"] * 100) == "x" * (11 << 20)


def test_pages_have_every_state_once(states: AgentStates) -> None:
    wanted = sorted((user, session) for user in ("ana", "Ana", "bé") for session in ("1", "2", "[", "é"))
    for user, session in reversed(wanted):
        states.set_value(user, session, "n", 1)
    for limit in (1, 3, 5, 200):
        listed, cursor = [], None
        while True:
            page = states.list_states(limit=limit, cursor=cursor)
            listed += [(state.user_id, state.session_id) for state in page.states]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert listed == wanted
    assert [state.session_id for state in states.list_states("ana").states] == ["1", "2", "[", "é"]
    assert states.list_states("nobody").states == ()
    assert {repr(state.data) for state in states.list_states("ana").states} == {"{}"}
    assert {repr(state.data) for state in states.list_states("ana", with_data=True).states} == {"{'n': 1}"}


@pytest.mark.real
def test_any_stored_value_is_read_and_is_kept(connection: Connection) -> None:
    states = AgentStates(MongoAgentStateStore(connection, Settings()))
    collection = connection.database["states"]
    for place, value in enumerate([*NUMBERS, *OTHERS, "text", [1], [[]]]):
        user = f"user {place}"
        documents = [
            {"user_id": user, "session_id": "s-1", "current_agent_id": value, "data": {"other": value}},
            {"user_id": user, "session_id": "s-2", "data": value},
            {"user_id": value, "session_id": f"s-{place}", "data": {}},
        ]
        collection.insert_many(documents)
        before = states.list_states(user, with_data=True).states
        states.set_value(user, "s-1", ["mine", "a.b"], 1)
        states.set_value(user, "s-1", "own", 2)
        after = states.list_states(user, with_data=True).states
        assert [repr(state) for state in after] == [
            repr(replace(before[0], data={**before[0].data, "mine": {"a.b": 1}, "own": 2})),
            repr(before[1]),
        ]
        with suppress(Conflict):
            states.set_value(user, "s-2", ["a.b"], 1)
            assert states.get_value(user, "s-2", ["a.b"]) == 1
        states.unset_value(user, "s-2", ["other", "a.b"])


def test_another_products_collection_is_left_alone(states: AgentStates, any_connection: Connection) -> None:
    collection = any_connection.database["states"]
    collection.insert_many([{"_id": ObjectId(), "code": str(number), "country": "DE"} for number in range(30)])
    with pytest.raises(ForeignCollection):
        states.set_value("ana", "s-1", "a", 1)
    assert collection.count_documents({}) == 30
    assert states.list_states().states == ()


@pytest.mark.real
def test_texts_are_compared_byte_by_byte_under_a_collation(database: Any, connection: Connection) -> None:
    database.create_collection("states", collation={"locale": "en", "strength": 2})
    states = AgentStates(MongoAgentStateStore(connection, Settings()))
    for user in ("ana", "ANA", "ána"):
        for key in ("a", "A", "a.b", "A.B"):
            states.set_value(user, "s", [key], user)
    assert [state.user_id for state in states.list_states().states] == ["ANA", "ana", "ána"]
    for state in states.list_states(with_data=True).states:
        assert state.data == dict.fromkeys(("a", "A", "a.b", "A.B"), state.user_id)
