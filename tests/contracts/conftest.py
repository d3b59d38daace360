"""What the contracts of stores of MongoDB share."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from chatstore_cli.mongo.connection import Connection, connect
from tests.support.in_memory import connection_in_memory


@pytest.fixture(
    params=["mongomock", *(pytest.param(server, marks=pytest.mark.real) for server in ("mongod", "standalone"))]
)
def each_connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """An empty database: in memory, on a server with transactions, and on one without."""
    if request.param == "mongomock":
        yield connection_in_memory()
        return
    server = request.getfixturevalue(request.param)
    connection = connect(server.uri, f"test_{uuid.uuid4().hex[:12]}", timeout_seconds=10)
    yield connection
    connection.client.drop_database(connection.database.name)
