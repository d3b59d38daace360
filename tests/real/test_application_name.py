"""The name under which the server's log, profiler and `currentOp` show the connections of chatstore."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.database import Database

from chatstore_cli.mongo.connection import connect
from tests.support.mongod import Mongod

pytestmark = pytest.mark.real


@pytest.mark.parametrize(
    ("options", "name"), [({}, "chatstore"), ({"appName": "night report"}, "night report"), ({"appname": "n"}, "n")]
)
def test_connections_have_the_name_of_the_uri_or_chatstore(
    mongod: Mongod, database: Database[dict[str, Any]], options: dict[str, str], name: str
) -> None:
    connection = connect(mongod.uri_as(None, None, **options), database.name, timeout_seconds=10)
    try:
        own = [{"$currentOp": {}}, {"$match": {"command.comment": database.name}}, {"$project": {"appName": 1}}]
        assert [row["appName"] for row in connection.client.admin.aggregate(own, comment=database.name)] == [name]
    finally:
        connection.client.close()
