"""A MongoDB that these tests stop, and the command on it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.conftest import Chatstore, shared_server
from tests.support.mongod import Mongod


@pytest.fixture(scope="session")
def own_mongod() -> Iterator[Mongod]:
    """A server that tests pause and kill. Each of them leaves it running."""
    yield from shared_server(replica_set=True)


@pytest.fixture
def own_database(own_mongod: Mongod) -> Any:
    """A new database on it."""
    return own_mongod.client()[f"test_{uuid.uuid4().hex[:12]}"]


@pytest.fixture
def own_chatstore(chatstore_without_database: Chatstore, own_mongod: Mongod, own_database: Any) -> Chatstore:
    """The command on this database. Reads wait for one second only."""
    variables = {
        "CHATSTORE_URI": own_mongod.uri,
        "CHATSTORE_DATABASE": own_database.name,
        "CHATSTORE_MONGO__TIMEOUT_SECONDS": "1",
        "CHATSTORE_SERVER__READ_SECONDS": "1",
    }
    made = chatstore_without_database
    return replace(made, environment={**made.environment, **variables})
