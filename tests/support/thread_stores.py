"""The stores of threads on which tests run."""

from __future__ import annotations

import functools
from uuid import uuid4

import pytest

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.threads.memory import MockConversationRepository
from chatstore_cli.core.threads.repository import StoredConversations
from chatstore_cli.domain.threads.ports import ConversationRepository, ThreadStore
from chatstore_cli.mongo.connection import connect
from chatstore_cli.mongo.threads.store import MongoThreadStore
from tests.support.in_memory import connection_in_memory

SERVERS = [pytest.param(server, marks=pytest.mark.real) for server in ("mongod", "standalone", "postgres")]
"""A replica set, a MongoDB without transactions, and a PostgreSQL."""
STORES = ["memory", *SERVERS]


def repository_of(request: pytest.FixtureRequest) -> ConversationRepository:
    """The repository of the store that the test's parameter names."""
    return MockConversationRepository() if request.param == "memory" else StoredConversations(store_of(request))


def store_of(request: pytest.FixtureRequest) -> ThreadStore:
    """The store that the test's parameter names: one of SERVERS, or `mongomock`.

    All tests of a process share a database on a server. The one of mongomock is empty.
    """
    name: str = request.param
    if name == "mongomock":
        connection = connection_in_memory()
        return MongoThreadStore(connection, Settings())
    server = request.getfixturevalue(name)
    return _on_postgres(server.uri(server.shared_database)) if name == "postgres" else _on_server(server.uri)


@functools.cache
def _on_server(uri: str) -> ThreadStore:
    return MongoThreadStore(connect(uri, f"threads_{uuid4().hex[:12]}", timeout_seconds=10), Settings())


@functools.cache
def _on_postgres(uri: str) -> ThreadStore:
    from chatstore_cli.postgres.database import PostgresDatabase
    from chatstore_cli.postgres.threads.store import PostgresThreadStore

    return PostgresThreadStore(PostgresDatabase(uri, timeout_seconds=10))
