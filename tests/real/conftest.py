"""A server that the tests of this folder share besides those of tests/conftest.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import shared_server
from tests.support.mongod import Mongod


@pytest.fixture(scope="session")
def second_server() -> Iterator[Mongod]:
    """A replica set of one that a test may kill, pause and start again, and leaves running."""
    yield from shared_server(replica_set=True)
