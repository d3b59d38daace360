"""Merging doubled counters of general chats, in memory and on a real server, also while writers continue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.errors import Conflict
from chatstore_cli.domain.general_counters import DoubledCounters
from chatstore_cli.mongo.connection import Connection, connect
from chatstore_cli.mongo.general.counter_merges import MongoCounterMerges
from chatstore_cli.mongo.general.numbers import ChatNumbers
from tests.support.at_command import AtCommand
from tests.support.mongod import Mongod

Documents = Database[dict[str, Any]]
ACME = {"app_id": "acme", "user_id": "ann"}
OLD = {"enterprise_id": "acme", "user_id": "ann"}
BOTH = {**ACME, **OLD}


@pytest.fixture
def merges(any_connection: Connection) -> MongoCounterMerges:
    """The merges of an empty database."""
    return MongoCounterMerges(any_connection, Settings())


@pytest.fixture
def counters(any_database: Documents) -> Any:
    """The counters."""
    return any_database["GeneralChatCounters"]


def store(counters: Any, **documents: dict[str, Any]) -> None:
    """Store counters under these ids."""
    counters.insert_many([{"_id": name, **document} for name, document in documents.items()])


def sequences(counters: Any) -> dict[str, Any]:
    """The sequence of each counter."""
    return {str(each["_id"]): each.get("sequence") for each in counters.find()}


def plans(merges: MongoCounterMerges, field: str = "app_id") -> dict[tuple[str, str], tuple[str, list[str]]]:
    """What would be kept and deleted, for each tenant and user."""
    return {
        (each.tenant, each.user): (each.kept.counter_id, sorted(counter.counter_id for counter in each.deleted))
        for each in merges.doubled(field) or []
    }


def only(doubled: list[DoubledCounters] | None) -> DoubledCounters:
    """The only merge."""
    assert doubled is not None
    (each,) = doubled
    return each


def test_the_plan_keeps_the_counter_that_writers_raise(merges: MongoCounterMerges, counters: Any) -> None:
    assert merges.doubled("app_id") == []
    store(
        counters,
        a={**ACME, "sequence": 9},
        b={**ACME, "sequence": 12},
        c={**ACME, "sequence": 2.0},
        d={**ACME},
        e={**OLD, "sequence": 40},
        f={"app_id": "acme", "user_id": "ben", "sequence": 1},
        g={"app_id": None, "user_id": "ann", "sequence": 1},
        h={"app_id": None, "user_id": "ann", "sequence": 2},
        i={"app_id": ObjectId("65f000000000000000000abc"), "user_id": "x", "sequence": 1},
        j={"app_id": ObjectId("65f000000000000000000abc"), "user_id": "x", "sequence": 1},
        k={"app_id": "65f000000000000000000abc", "user_id": "x", "sequence": 7},
    )
    assert plans(merges) == {
        ("acme", "ann"): ("b", ["a", "c", "d"]),
        ("65f000000000000000000abc", "x"): ("j", ["i"]),
    }
    assert plans(merges, "enterprise_id") == {}
    acme = next(each for each in merges.doubled("app_id") or [] if each.user == "ann")
    assert acme.plan.startswith("tenant 'acme', user 'ann': keeps counter b (12), deletes ")
    assert {"a (9)", "c (2.0)", "d (no sequence)"} == set(acme.plan.partition("deletes ")[2].split(", "))


def test_a_merge_deletes_the_others(merges: MongoCounterMerges, counters: Any) -> None:
    store(counters, a={**ACME, "sequence": 9}, b={**ACME, "sequence": 12}, c={**OLD, "sequence": 3})
    merges.merge(only(merges.doubled("app_id")))
    assert sequences(counters) == {"b": 12, "c": 3}
    assert merges.doubled("app_id") == []


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [("12", 3, 12), (12.5, 3, 12), (None, -4, 0), ("many", "more", 0), (12, "12", 12)],
)
def test_the_kept_counter_gets_a_whole_number(
    merges: MongoCounterMerges, counters: Any, first: Any, second: Any, kept: int
) -> None:
    store(counters, b={**ACME, "sequence": first}, a={**ACME, "sequence": second})
    merges.merge(only(merges.doubled("app_id")))
    assert sequences(counters) == {"b": kept}


def test_the_kept_counter_gets_the_tenant_field_that_only_another_one_has(
    merges: MongoCounterMerges, counters: Any
) -> None:
    store(counters, a={**ACME, "sequence": 9}, b={**BOTH, "sequence": 3}, c={**BOTH, "sequence": 1})
    assert plans(merges, "enterprise_id") == {("acme", "ann"): ("b", ["c"])}
    merges.merge(only(merges.doubled("app_id")))
    assert list(counters.find()) == [{"_id": "a", **BOTH, "sequence": 9}]
    assert merges.doubled("enterprise_id") == []


def test_a_counter_of_two_tenants_is_never_deleted_for_one_of_them(merges: MongoCounterMerges, counters: Any) -> None:
    store(
        counters,
        a={"app_id": "acme", "enterprise_id": "x", "user_id": "ann", "sequence": 9},
        b={"app_id": "acme", "enterprise_id": "y", "user_id": "ann", "sequence": 3},
        c={"app_id": "acme", "user_id": "ann", "sequence": 4},
    )
    assert plans(merges) == {("acme", "ann"): ("a", ["c"])}


def test_what_changed_after_the_plan(merges: MongoCounterMerges, counters: Any) -> None:
    store(counters, a={**ACME, "sequence": 9}, b={**ACME, "sequence": 12}, c={**ACME, "sequence": 1})
    plan = only(merges.doubled("app_id"))
    counters.update_one({"_id": "a"}, {"$set": {"sequence": 11}})
    store(counters, new={**ACME, "sequence": 1})
    merges.merge(plan)
    assert sequences(counters) == {"b": 12, "new": 1}  # what the plan did not name is kept
    plan = only(merges.doubled("app_id"))
    counters.update_one({"_id": "new"}, {"$set": {"sequence": 13}})
    with pytest.raises(Conflict, match=r"user 'ann' in GeneralChatCounters changed after they were read\."):
        merges.merge(plan)
    assert sequences(counters) == {"b": 12, "new": 13}


@pytest.mark.real
@pytest.mark.parametrize("step", range(1, 6))
@pytest.mark.parametrize("raised", ["a", "b"])
def test_a_number_that_is_given_between_two_commands_of_a_merge(
    mongod: Mongod, connection: Connection, database: Documents, step: int, raised: str
) -> None:
    """An application raises any of its counters, chatstore the one that leads. No number comes twice from chatstore."""
    counters = database["GeneralChatCounters"]
    store(counters, a={**ACME, "sequence": 9}, b={**ACME, "sequence": 12}, c={**ACME, "sequence": "5"})
    numbers, given = ChatNumbers(connection, Settings()), []

    def act() -> None:
        given.append(numbers.next_number("acme", "ann"))
        counters.update_one({"_id": raised}, {"$inc": {"sequence": 1}})

    listener = AtCommand(step, act)
    other = connect(mongod.uri, database.name, timeout_seconds=10, listener=listener)
    merges = MongoCounterMerges(other, Settings())
    plan = only(MongoCounterMerges(connection, Settings()).doubled("app_id"))
    merges.merge(plan)
    assert listener.reached or step > 4
    assert set(sequences(counters)) == {"b"}
    given += [numbers.next_number("acme", "ann") for _ in range(3)]
    assert len(set(given)) == len(given)
    assert given == sorted(given)
    assert given[0] == 13
    other.client.close()


@pytest.mark.real
def test_a_search_that_takes_too_long(
    connection: Connection, database: Documents, fail_point: Callable[..., Any]
) -> None:
    store(database["GeneralChatCounters"], a={**ACME, "sequence": 9})
    with fail_point(["aggregate"], errorCode=50):
        assert MongoCounterMerges(connection, Settings(), 1.0).doubled("app_id") is None
