"""Empty databases for the store of threads: in memory, on a replica set and on a standalone server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from chatstore_cli.mongo.connection import Connection, connect
from tests.support.mongod import Mongod


def connected(server: Mongod) -> Iterator[Connection]:
    """A Connection to an empty database of a server."""
    connection = connect(server.uri, f"test_{uuid.uuid4().hex[:12]}", timeout_seconds=10)
    yield connection
    connection.client.drop_database(connection.database.name)


@pytest.fixture(params=["mongod", "standalone"])
def thread_server(request: pytest.FixtureRequest) -> Mongod:
    """A server with transactions, then one without."""
    server: Mongod = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def server_connection(thread_server: Mongod) -> Iterator[Connection]:
    """A Connection to an empty database on each kind of server."""
    yield from connected(thread_server)


@pytest.fixture(params=["mongomock", "mongod", "standalone"])
def thread_connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """A Connection to an empty database, also in memory."""
    if request.param != "mongomock":
        yield from connected(request.getfixturevalue(request.param))
        return
    from tests.support.in_memory import connection_in_memory

    yield connection_in_memory()
