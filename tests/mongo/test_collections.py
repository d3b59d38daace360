"""The facts of collections, as a real server reports them."""

from __future__ import annotations

from typing import Any

import pytest

from chatstore_cli.mongo.collection_facts import CollectionKind
from chatstore_cli.mongo.collections import collection_facts
from chatstore_cli.mongo.connection import connect


def test_each_kind_of_collection_is_recognised(mongo_uri: str, database: Any) -> None:
    database.create_collection("plain")
    database.create_collection("round", capped=True, size=4096)
    database.create_collection("measured", timeseries={"timeField": "created_at"})
    database.create_collection("seen", viewOn="plain", pipeline=[])
    database.create_collection("checked", validator={"role": {"$type": "string"}})
    connection = connect(mongo_uri, database.name, timeout_seconds=10)
    kinds = {name: collection_facts(connection, name).kind for name in ("plain", "round", "measured", "seen", "none")}
    assert list(kinds.values()) == [
        CollectionKind.ORDINARY,
        CollectionKind.CAPPED,
        CollectionKind.TIME_SERIES,
        CollectionKind.VIEW,
        CollectionKind.ABSENT,
    ]
    assert collection_facts(connection, "checked").has_validator
    assert not collection_facts(connection, "plain").has_validator


@pytest.mark.parametrize("collation, strength", [({"locale": "en", "strength": 2}, 2), ({"locale": "simple"}, None)])
def test_the_simple_collation_counts_as_none(
    mongo_uri: str, database: Any, collation: dict[str, Any], strength: int | None
) -> None:
    database.create_collection("messages", collation=collation)
    found = collection_facts(connect(mongo_uri, database.name, timeout_seconds=10), "messages").collation
    assert (found or {}).get("strength") == strength


def test_facts_are_read_once_for_a_collection_that_exists_and_again_if_asked(mongo_uri: str, database: Any) -> None:
    connection = connect(mongo_uri, database.name, timeout_seconds=10)
    assert not collection_facts(connection, "messages").exists
    database.create_collection("messages")
    first = collection_facts(connection, "messages")
    database.drop_collection("messages")
    database.create_collection("messages", collation={"locale": "en"})
    assert collection_facts(connection, "messages") is first
    assert collection_facts(connection.reading_from_primary(), "messages") is first
    fresh = collection_facts(connection, "messages", fresh=True)
    assert fresh.collation and fresh.uuid != first.uuid
