"""The application in this process, and a MongoDB that tests stop."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from tests.conftest import shared_server
from tests.support.mongod import Mongod
from tests.support.served_app import Served, served, settings_of


@pytest.fixture
def off(tmp_path: Path) -> Iterator[Served]:
    """An application whose database is disabled."""
    with served(settings_of(tmp_path)) as server:
        yield server


@pytest.fixture
def server(tmp_path: Path, mongo_uri: str, database: Any) -> Iterator[Served]:
    """An application on the shared MongoDB."""
    with served(settings_of(tmp_path, mongo_uri, database.name)) as server:
        yield server


@pytest.fixture(scope="module")
def one_server(
    tmp_path_factory: pytest.TempPathFactory, mongod: Mongod, module_database: Database[dict[str, Any]]
) -> Iterator[Served]:
    """One application on the shared MongoDB for a module: each costs a second when it stops."""
    with served(settings_of(tmp_path_factory.mktemp("server"), mongod.uri, module_database.name)) as server:
        server.wait_until_prepared()
        yield server


@pytest.fixture
def emptied(one_server: Served, module_database: Database[dict[str, Any]]) -> Served:
    """The application of the module, whose database is empty. No test may create a key: it would be required from then on."""
    for name in module_database.list_collection_names():
        if name in ("Agent", "lk_agent_configs"):  # whichever exists has the agents
            module_database.drop_collection(name)
        else:  # the server has created its indexes at its start
            module_database[name].delete_many({})
    return one_server


@pytest.fixture(scope="session")
def own_mongod() -> Iterator[Mongod]:
    """A server that tests pause and kill. Each of them leaves it running."""
    yield from shared_server(replica_set=True)


@pytest.fixture
def own_database(own_mongod: Mongod) -> Any:
    """A new database on it."""
    return own_mongod.client()[f"test_{uuid.uuid4().hex[:12]}"]
