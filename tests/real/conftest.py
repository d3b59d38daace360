"""Servers that the tests of this folder share besides the replica set of tests/conftest.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import _need_a_mongod
from tests.support.mongod import Mongod, short_temporary_folder, start_mongod


def _server(*, replica_set: bool) -> Iterator[Mongod]:
    _need_a_mongod()
    with short_temporary_folder() as folder:
        server = start_mongod(folder, replica_set=replica_set)
        try:
            yield server
        finally:
            server.remove()


@pytest.fixture(scope="session")
def standalone() -> Iterator[Mongod]:
    """A server that is not a replica set. A test may restart it, and leaves it running."""
    yield from _server(replica_set=False)


@pytest.fixture(scope="session")
def second_server() -> Iterator[Mongod]:
    """A replica set of one that a test may kill, pause and start again, and leaves running."""
    yield from _server(replica_set=True)
