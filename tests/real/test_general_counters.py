"""Doubled counters of general chats, and the indexes that prevent them: `indexes check` and `indexes apply`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from bson import ObjectId

from tests.conftest import Chatstore

pytestmark = pytest.mark.real
INDEXES = {"gc_counter_app_user": "app_id", "gc_counter_ent_user": "enterprise_id"}


@pytest.fixture
def counters(database: Any) -> Any:
    """The counters of old data: three of one user, two of another one in the older variant, one of a third one."""
    collection = database["GeneralChatCounters"]
    collection.insert_many(
        [
            {"_id": "a", "app_id": "acme", "user_id": "ann", "sequence": 9},
            {"_id": "b", "app_id": "acme", "user_id": "ann", "sequence": 12},
            {"_id": "c", "app_id": "acme", "user_id": "ann", "sequence": 2.0},
            {"_id": ObjectId("0" * 24), "enterprise_id": "acme", "user_id": "ben", "sequence": 4},
            {"_id": ObjectId("1" * 24), "enterprise_id": "acme", "user_id": "ben", "sequence": 3},
            {"_id": "d", "app_id": "acme", "user_id": "cid", "sequence": 1},
        ]
    )
    return collection


def rows(chatstore: Chatstore, *arguments: str) -> list[dict[str, Any]]:
    """The rows about counters."""
    outcome = chatstore("indexes", *arguments, "--layout", "general", "-o", "jsonl")
    every = [json.loads(line) for line in outcome.out.splitlines()]
    return [row for row in every if row["collection"] == "GeneralChatCounters"]


def ids(counters: Any) -> set[str]:
    """The stored counters."""
    return {str(each["_id"]) for each in counters.find()}


def test_doubled_counters_are_reported_and_merged_only_with_yes(chatstore: Chatstore, counters: Any) -> None:
    before = list(counters.find())
    checked = chatstore("indexes", "check")
    assert checked.code == 6
    said = "2 users have more than one counter in GeneralChatCounters (acme/ann, acme/ben)."
    assert f"{said} The unique index can be created after a merge, which chatstore indexes apply plans." in checked.err

    planned = rows(chatstore, "apply", "--dry-run")
    assert [(row["action"], row["outcome"], row["needs_yes"], row["expiring"]) for row in planned] == [
        ("merge", "planned", True, 2),
        ("create", "planned", True, 0),
        ("merge", "planned", True, 1),
        ("create", "planned", True, 0),
    ]
    assert planned[0]["detail"].startswith("tenant 'acme', user 'ann': keeps counter b (12), deletes ")
    assert chatstore("indexes", "apply", "--read-only").code == 4

    left = chatstore("indexes", "apply", "--layout", "general", "--no-input")
    assert left.code == 6
    assert (
        "merge gc_counter_app_user on GeneralChatCounters: tenant 'acme', user 'ann': keeps counter b (12)" in left.err
    )
    assert "create gc_counter_app_user on GeneralChatCounters: after the merges." in left.err
    assert f"keeps counter {'0' * 24} (4), deletes {'1' * 24} (3)." in left.err
    assert list(counters.find()) == before
    assert set(counters.index_information()) == {"_id_"}

    done = rows(chatstore, "apply", "--yes")
    assert {row["outcome"] for row in done} == {"done"}
    assert ids(counters) == {"b", "0" * 24, "d"}
    for name, field in INDEXES.items():
        index = counters.index_information()[name]
        assert index["key"] == [(field, 1), ("user_id", 1)]
        assert index["unique"]
        assert index["partialFilterExpression"] == {field: {"$exists": True}}
    assert chatstore("indexes", "check", "--layout", "general").code == 0


def test_without_doubled_counters_no_confirmation_is_needed(chatstore: Chatstore, counters: Any) -> None:
    counters.delete_many({"_id": {"$in": ["a", "c", ObjectId("1" * 24)]}})
    assert "more than one counter" not in chatstore("indexes", "check").err
    assert [(row["action"], row["needs_yes"]) for row in rows(chatstore, "apply")] == [("create", False)] * 2


def test_a_counter_in_both_variants_is_planned_once(chatstore: Chatstore, counters: Any) -> None:
    counters.delete_many({})
    both = {"app_id": "acme", "enterprise_id": "acme", "user_id": "ann"}
    counters.insert_many([{"_id": "a", **both, "sequence": 3}, {"_id": "b", **both, "sequence": 2}])
    planned = rows(chatstore, "apply", "--dry-run")
    assert [row["action"] for row in planned] == ["merge", "create", "create"]
    assert {row["outcome"] for row in rows(chatstore, "apply", "--yes")} == {"done"}
    assert ids(counters) == {"a"}


def test_counters_of_nobody_that_collide_are_a_conflict(chatstore: Chatstore, counters: Any) -> None:
    counters.delete_many({})
    nobodys = {"app_id": None, "user_id": "ann", "sequence": 1}
    counters.insert_many([{"_id": "a", "enterprise_id": "x", **nobodys}, {"_id": "b", "enterprise_id": "y", **nobodys}])
    outcome = chatstore("indexes", "apply", "--layout", "general", "--yes")
    assert outcome.code == 8
    assert "app_id, user_id is not unique: None, 'ann' is in 2 documents" in outcome.err
    assert ids(counters) == {"a", "b"}


def test_an_index_of_equal_keys_is_seen_whatever_its_name(chatstore: Chatstore, counters: Any) -> None:
    """The server rejects a second index with the keys of another one (code 85), so names must not decide."""
    counters.delete_many({"_id": {"$in": ["a", "c"]}})
    keys = [("app_id", 1), ("user_id", 1)]
    counters.create_index(keys, name="theirs")
    found = {row["name"]: row for row in rows(chatstore, "check")}
    assert found["theirs"]["state"] == "drifted"
    assert "it is not unique" in found["theirs"]["detail"]
    counters.insert_one({"_id": "e", "app_id": "acme", "user_id": "cid", "sequence": 5})
    done = rows(chatstore, "apply", "--yes")
    assert [(row["action"], row["outcome"]) for row in done][:2] == [("merge", "done"), ("rebuild", "done")]
    assert "theirs" not in counters.index_information()
    counters.drop_index("gc_counter_app_user")
    counters.create_index(keys, name="theirs", unique=True, partialFilterExpression={"app_id": {"$exists": True}})
    assert {row["state"] for row in rows(chatstore, "check")} == {"ok"}
