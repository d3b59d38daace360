"""Numbers of general chats on a real server: round trips, indexes, collations, and ids that the platform mixed up."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.database import Database

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.general.ids import general_chat_id, plain_chat_id
from chatstore_cli.core.indexes import create_missing
from chatstore_cli.domain.errors import Conflict
from chatstore_cli.domain.times import utc_now
from chatstore_cli.mongo.connection import Connection, connect
from chatstore_cli.mongo.general.index_specs import counter_index_specs, index_specs
from chatstore_cli.mongo.general.numbers import ChatNumbers
from chatstore_cli.mongo.maintenance.expiry_dates import MongoDocumentDates
from chatstore_cli.mongo.maintenance.index_store import MongoIndexStore
from tests.support.at_command import AtCommand
from tests.support.mongod import Mongod

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]
IGNORING_CASE = {"locale": "en", "strength": 2}


def chat(number: int, user: str = "ann", **more: Any) -> dict[str, Any]:
    """A chat of acme."""
    return {"app_id": "acme", "user_id": user, "general_sequence": number, "messages": [], **more}


def create_indexes(connection: Connection) -> None:
    """Those of general chats and their counters."""
    specs = [*index_specs("GeneralChatSessions"), *counter_index_specs("GeneralChatCounters")]
    dates = MongoDocumentDates(connection, seconds=5, sample=10)
    created = list(create_missing(specs, MongoIndexStore(connection, connection), dates, utc_now()))
    assert len(created) == len(specs)


def test_a_number_costs_one_read_and_one_write(mongod: Mongod, database: Documents) -> None:
    listener = AtCommand(0, lambda: None)
    connection = connect(mongod.uri, database.name, timeout_seconds=10, listener=listener)
    numbers = ChatNumbers(connection, Settings())
    for _ in range(2):  # the second one looks up the options of the new collection
        numbers.next_number("acme", "ann")

    def commands(user: str) -> list[str]:
        listener.commands.clear()
        numbers.next_number("acme", user)
        return listener.commands

    assert commands("ann") == ["aggregate", "findAndModify"]
    assert commands("ben") == ["aggregate", "insert"]
    database["GeneralChatSessions"].insert_one(chat(9))
    assert commands("ann") == ["aggregate", "update"]
    listener.commands.clear()
    numbers.raise_to("acme", "ann", 4)
    assert listener.commands == ["aggregate"]
    connection.client.close()


def test_no_number_reads_more_than_one_chat_and_one_counter(connection: Connection, database: Documents) -> None:
    create_indexes(connection)
    database["GeneralChatSessions"].insert_many([chat(number) for number in range(1, 150)])
    database["GeneralChatSessions"].insert_many([chat(number, f"u{number}") for number in range(1, 150)])
    numbers = ChatNumbers(connection, Settings())
    numbers.next_number("acme", "ann")
    database.command("profile", 2)
    assert numbers.next_number("acme", "ann") == 151
    database.command("profile", 0)
    rows = list(database["system.profile"].find({"op": "command", "command.aggregate": "GeneralChatCounters"}))
    assert len(rows) == 1
    assert rows[0]["docsExamined"] <= 2
    assert rows[0]["keysExamined"] <= 4
    assert "COLLSCAN" not in rows[0]["planSummary"]


def test_the_ids_of_users_are_exact_under_a_collation(connection: Connection, database: Documents) -> None:
    for name in ("GeneralChatCounters", "GeneralChatSessions"):
        database.create_collection(name, collation=IGNORING_CASE)
    database["GeneralChatSessions"].insert_many([{"_id": "x", **chat(30, "ANN")}, {"_id": "y", **chat(3, "Ann")}])
    database["GeneralChatCounters"].insert_many(
        [
            {"_id": "c1", "app_id": "acme", "user_id": "Ann", "sequence": 1},
            {"_id": "c2", "app_id": "acme", "user_id": "ann", "sequence": "7"},
            {"_id": "c3", "app_id": "ACME", "user_id": "ann", "sequence": 50},
        ]
    )
    numbers = ChatNumbers(connection, Settings())
    assert [numbers.next_number("acme", "Ann") for _ in range(2)] == [4, 5]
    assert [numbers.next_number("acme", "ann") for _ in range(2)] == [8, 9]
    create_indexes(connection)  # one of these users has no second counter for an index that compares bytes
    assert numbers.next_number("ACME", "ann") == 51
    assert numbers.next_number("acme", "ben") == 1
    with pytest.raises(Conflict, match=r"GeneralChatCounters cannot hold _id 'generalchat-acme-Ben': its collation"):
        numbers.next_number("acme", "Ben")
    assert numbers.next_number("acme", "ben") == 2


def test_the_unique_indexes_reject_a_second_counter_only_in_one_variant(
    connection: Connection, database: Documents
) -> None:
    create_indexes(connection)
    counters = database["GeneralChatCounters"]
    counters.insert_many([{"enterprise_id": "acme", "user_id": user, "sequence": 4} for user in ("ann", "ben")])
    counters.insert_one({"app_id": "acme", "user_id": "ann", "sequence": 2})
    numbers = ChatNumbers(connection, Settings())
    assert [numbers.next_number("acme", user) for user in ("ann", "ben", "cid")] == [5, 5, 1]
    assert counters.count_documents({}) == 4


def test_another_process_inserts_the_first_counter_meanwhile(mongod: Mongod, database: Documents) -> None:
    """Chatstore's own has the same `_id`. The platform's has another one: then the index decides, or the higher number."""
    counters = database["GeneralChatCounters"]
    platforms = {"app_id": "acme", "user_id": "ann", "sequence": 1}

    def number_while(action: Any) -> int:
        counters.delete_many({})
        listener = AtCommand(2, action)
        other = connect(mongod.uri, database.name, timeout_seconds=10, listener=listener)
        other.known_collections.facts(other.database, "GeneralChatCounters")
        other.own_collections.add("GeneralChatCounters")
        listener.commands.clear()
        number = ChatNumbers(other, Settings()).next_number("acme", "ann")
        assert listener.reached
        other.client.close()
        return number

    connection = connect(mongod.uri, database.name, timeout_seconds=10)
    numbers = ChatNumbers(connection, Settings())
    assert number_while(lambda: numbers.next_number("acme", "ann")) == 2
    assert number_while(lambda: counters.insert_one(dict(platforms))) == 1  # the id of the chat decides then
    assert numbers.next_number("acme", "ann") == 2
    counters.delete_many({})
    create_indexes(connection)
    assert number_while(lambda: counters.insert_one(dict(platforms))) == 2
    assert counters.count_documents({}) == 1
    connection.client.close()


def test_pairs_with_equal_ids_on_the_platform_have_different_chats(connection: Connection, database: Documents) -> None:
    pairs = [("a-b", "c"), ("a", "b-c")]
    assert len({plain_chat_id(*pair, 1) for pair in pairs}) == 1
    numbers = ChatNumbers(connection, Settings())
    for pair in pairs * 2:
        number = numbers.next_number(*pair)
        owner = {"app_id": pair[0], "user_id": pair[1], "general_sequence": number, "messages": []}
        database["GeneralChatSessions"].insert_one({"_id": general_chat_id(*pair, number), **owner})
    stored = [(each["app_id"], each["general_sequence"]) for each in database["GeneralChatSessions"].find()]
    assert sorted(stored) == [("a", 1), ("a", 2), ("a-b", 1), ("a-b", 2)]
