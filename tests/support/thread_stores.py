"""The stores of threads on which tests run."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING
from uuid import uuid4

import mongomock
import pytest

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.threads.memory import MockConversationRepository
from chatstore_cli.core.threads.repository import StoredConversations
from chatstore_cli.domain.threads.ports import ConversationRepository
from chatstore_cli.mongo.connection import Connection, connect
from chatstore_cli.mongo.threads.store import MongoThreadStore

if TYPE_CHECKING:
    from tests.support.postgres import Postgres

STORES = [
    "memory",
    *(pytest.param(server, marks=pytest.mark.real) for server in ("mongod", "standalone", "postgres")),
]
"""In plain memory, on a replica set, on a MongoDB without transactions, and on PostgreSQL."""


def repository_of(request: pytest.FixtureRequest) -> ConversationRepository:
    """The repository of the store that the test's parameter names: one of STORES, or `mongomock`.

    All tests of a process share a database on a server. The others are empty.
    """
    name: str = request.param
    if name == "memory":
        return MockConversationRepository()
    if name == "mongomock":
        client = mongomock.MongoClient(tz_aware=True)
        return _over(Connection(client, client["test"], "memory (mongomock), database test", in_memory=True))
    if name == "postgres":
        return _on_postgres(request.getfixturevalue(name))
    return _on_server(request.getfixturevalue(name).uri)


@functools.cache
def _on_server(uri: str) -> ConversationRepository:
    return _over(connect(uri, f"threads_{uuid4().hex[:12]}", timeout_seconds=10))


_POSTGRES: dict[int, ConversationRepository] = {}


def _on_postgres(server: Postgres) -> ConversationRepository:
    if id(server) not in _POSTGRES:
        from chatstore_cli.postgres.database import PostgresDatabase
        from chatstore_cli.postgres.threads.store import PostgresThreadStore

        database = PostgresDatabase(server.uri(server.new_database()), timeout_seconds=10)
        _POSTGRES[id(server)] = StoredConversations(PostgresThreadStore(database))
    return _POSTGRES[id(server)]


def _over(connection: Connection) -> ConversationRepository:
    return StoredConversations(MongoThreadStore(connection, Settings()))
