"""Numbers of general chats, for every state that old data leaves counters in; in memory and on a real server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Decimal128, Int64, ObjectId

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.errors import Conflict, ForeignCollection
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.general.numbers import ChatNumbers

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TENANT = ObjectId("65f000000000000000000abc")
NAN = float("nan")
UNKNOWN_TO_MONGOMOCK = [NAN, Decimal128("5"), Decimal128("sNaN")]


@pytest.fixture
def numbers(any_connection: Connection) -> ChatNumbers:
    """The numbers of an empty database."""
    return ChatNumbers(any_connection, Settings(), lambda: NOON)


@pytest.fixture
def counters(any_database: Any) -> Any:
    """The counters."""
    return any_database["GeneralChatCounters"]


@pytest.fixture
def chats(any_database: Any) -> Any:
    """The chats."""
    return any_database["GeneralChatSessions"]


def chat(number: Any, user: str = "ann", **tenant: Any) -> dict[str, Any]:
    """A chat of acme, or of another tenant."""
    return {"user_id": user, "general_sequence": number, "messages": [], **(tenant or {"app_id": "acme"})}


def counter(sequence: Any, user: str = "ann", **tenant: Any) -> dict[str, Any]:
    """A counter of acme, or of another tenant."""
    return {"user_id": user, "sequence": sequence, **(tenant or {"app_id": "acme"})}


def test_each_pair_is_numbered_from_1(numbers: ChatNumbers, counters: Any) -> None:
    assert [numbers.next_number("acme", "ann") for _ in range(3)] == [1, 2, 3]
    assert [numbers.next_number("acme", "ben"), numbers.next_number("b", "ann")] == [1, 1]
    assert [numbers.next_number("a-b", "c"), numbers.next_number("a", "b-c")] == [1, 1]
    assert counters.find_one({"app_id": "acme", "user_id": "ann"}) == {
        "_id": "generalchat-acme-ann",
        "app_id": "acme",
        "user_id": "ann",
        "sequence": 3,
        "created_at": NOON,
    }
    assert {each["_id"] for each in counters.find({"user_id": {"$in": ["c", "b-c"]}})} == {
        "generalchat-a%2Db-c",
        "generalchat-a-b%2Dc",
    }


@pytest.mark.parametrize(
    ("tenant", "fields"),
    [
        ("acme", {"app_id": "acme"}),
        ("acme", {"enterprise_id": "acme"}),
        ("acme", {"app_id": "acme", "enterprise_id": "acme"}),
        ("acme", {"app_id": None, "enterprise_id": "acme"}),
        (str(TENANT), {"enterprise_id": TENANT}),
        (str(TENANT), {"app_id": str(TENANT)}),
        ("17", {"app_id": 17}),
    ],
)
def test_a_stored_counter_continues_in_each_variant(
    numbers: ChatNumbers, counters: Any, tenant: str, fields: dict[str, Any]
) -> None:
    counters.insert_one({"_id": ObjectId(), **counter(4, **fields)})
    assert [numbers.next_number(tenant, "ann") for _ in range(2)] == [5, 6]
    assert [each["sequence"] for each in counters.find()] == [6]


def test_of_doubled_counters_the_highest_one_is_raised(numbers: ChatNumbers, counters: Any) -> None:
    doubled = [counter(9), counter(12), counter(2.0), counter(11, enterprise_id="acme"), counter(12, user="ben")]
    counters.insert_many([{"_id": number, **each} for number, each in enumerate(doubled)])
    assert [numbers.next_number("acme", "ann") for _ in range(3)] == [13, 14, 15]
    assert {each["_id"]: each["sequence"] for each in counters.find()} == {0: 9, 1: 15, 2: 2.0, 3: 11, 4: 12}


def test_of_equal_counters_always_the_same_one_is_raised(numbers: ChatNumbers, counters: Any) -> None:
    counters.insert_many([{"_id": name, **counter(5)} for name in ("b", "c", "a")])
    assert [numbers.next_number("acme", "ann") for _ in range(2)] == [6, 7]
    assert {each["_id"]: each["sequence"] for each in counters.find()} == {"a": 5, "b": 5, "c": 7}


@pytest.mark.parametrize("stored", [None, 3, 8])
@pytest.mark.parametrize("tenant", [{"app_id": "acme"}, {"enterprise_id": "acme"}])
def test_after_a_restore_no_number_of_a_chat_comes_again(
    numbers: ChatNumbers, counters: Any, chats: Any, stored: int | None, tenant: dict[str, Any]
) -> None:
    """Chat 4 was deleted before the backup, so its id is free."""
    chats.insert_many([chat(number, **tenant) for number in (1, 2, 3, 5, Int64(8), 6)])
    chats.insert_many([chat(99, user="ben"), chat(99, app_id="other"), chat("50"), chat([70]), chat(None), chat(-4)])
    if stored is not None:
        counters.insert_one(counter(stored))
    assert [numbers.next_number("acme", "ann") for _ in range(2)] == [9, 10]
    assert counters.count_documents({}) == 1


@pytest.mark.parametrize(
    ("stored", "number"),
    [
        ({"sequence": 5.0}, 6),
        ({"sequence": 5.7}, 6),
        ({"sequence": Int64(5)}, 6),
        ({"sequence": Decimal128("5")}, 6),
        ({"sequence": "7"}, 8),
        ({"sequence": "many"}, 4),
        ({"sequence": None}, 4),
        ({}, 4),
        ({"sequence": -3}, 4),
        ({"sequence": -3.5}, 4),
        ({"sequence": True}, 4),
        ({"sequence": [9]}, 4),
        ({"sequence": {"n": 9}}, 4),
        ({"sequence": NAN}, 4),
        ({"sequence": Decimal128("sNaN")}, 4),
        ({"sequence": float("-inf")}, 4),
        ({"sequence": NOON}, 4),
        ({"sequence": 2**53 - 2}, 2**53 - 1),
    ],
)
def test_any_stored_value_of_a_counter(
    any_connection: Connection, numbers: ChatNumbers, counters: Any, chats: Any, stored: dict[str, Any], number: int
) -> None:
    if any_connection.in_memory and stored.get("sequence") in UNKNOWN_TO_MONGOMOCK:
        return  # mongomock neither adds to a decimal nor finds NaN
    chats.insert_one(chat(3))
    counters.insert_one({"_id": "old", "app_id": "acme", "user_id": "ann", **stored})
    assert numbers.next_number("acme", "ann") == number
    if number < 2**53 - 1:
        assert numbers.next_number("acme", "ann") == number + 1
    assert [each["_id"] for each in counters.find()] == ["old"]


@pytest.mark.parametrize("value", [2**53, 2**63 - 1, 1e300, float("inf"), Decimal128("1E+6000"), "9" * 40])
def test_a_number_that_no_other_one_follows_is_a_conflict(
    any_connection: Connection, numbers: ChatNumbers, counters: Any, chats: Any, value: Any
) -> None:
    counters.insert_many([{"_id": "huge", **counter(value)}, {"_id": "usual", **counter(1)}])
    with pytest.raises(Conflict, match=r"'huge' of GeneralChatCounters.* `sequence`") as error:
        numbers.next_number("acme", "ann")
    assert error.value.hint == "Correct `sequence` in that document, then try again."
    assert counters.find_one("huge")["sequence"] == value
    counters.delete_one({"_id": "huge"})
    if isinstance(value, str) or (any_connection.in_memory and isinstance(value, Decimal128)):
        return
    chats.insert_one({"_id": "c", **chat(value)})
    with pytest.raises(Conflict, match=r"'c' of GeneralChatSessions.* `general_sequence`"):
        numbers.next_number("acme", "ann")
    assert counters.find_one("usual")["sequence"] == 1


def test_the_highest_number_of_all(numbers: ChatNumbers, counters: Any) -> None:
    counters.insert_one(counter(2**53 - 1))
    assert numbers.next_number("acme", "ann") == 2**53
    with pytest.raises(Conflict):
        numbers.next_number("acme", "ann")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], 7), ([counter(3)], 7), ([counter(3.0)], 7), ([counter("6")], 7), ([counter(None)], 7), ([counter(7)], 7),
        ([counter(9)], 9), ([counter("9")], 9), ([counter(2), counter(4), counter(3)], 7), ([counter(2**60)], 2**60),
        ([counter(1, enterprise_id="acme")], 7),
    ],
)  # fmt: skip
def test_before_a_deletion_the_counter_is_raised(
    numbers: ChatNumbers, counters: Any, before: list[dict[str, Any]], after: int
) -> None:
    counters.insert_many([{"_id": number, **each} for number, each in enumerate(before)] or [counter(7, user="ben")])
    numbers.raise_to("acme", "ann", 7)
    assert max(each["sequence"] for each in counters.find({"user_id": "ann"})) == after
    assert counters.count_documents({"user_id": "ann"}) == max(1, len(before))
    if after < 2**53:
        assert numbers.next_number("acme", "ann") == after + 1


def test_a_deletion_of_a_chat_with_a_number_that_no_chat_gets(numbers: ChatNumbers, counters: Any, chats: Any) -> None:
    chats.insert_one(chat(2**60))
    numbers.raise_to("acme", "ann", 2**60)
    assert counters.count_documents({}) == 0
    chats.delete_many({})
    assert numbers.next_number("acme", "ann") == 1


def test_a_list_that_contains_the_pair_is_not_the_pair(numbers: ChatNumbers, counters: Any) -> None:
    counters.insert_many([counter(8, app_id=["acme"]), counter(9, user=["ann"])])
    assert numbers.next_number("acme", "ann") == 1


def test_a_document_with_the_id_of_the_counter_and_another_owner(numbers: ChatNumbers, counters: Any) -> None:
    counters.insert_one({"_id": "generalchat-acme-ann", **counter(8, user="ben")})
    for call in (lambda: numbers.next_number("acme", "ann"), lambda: numbers.raise_to("acme", "ann", 3)):
        with pytest.raises(
            Conflict, match="'generalchat-acme-ann' of GeneralChatCounters is not a counter of"
        ) as error:
            call()
    assert "Correct `app_id` and `user_id`" in str(error.value.hint)
    assert numbers.next_number("acme", "ben") == 9


def test_no_counter_is_written_among_the_documents_of_another_product(numbers: ChatNumbers, counters: Any) -> None:
    counters.insert_many([{"page": "home", "visits": number} for number in range(3)])
    with pytest.raises(ForeignCollection):
        numbers.next_number("acme", "ann")
