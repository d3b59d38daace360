"""What the tests of this folder share besides the fixtures of tests/conftest.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.usage.recorder import UsageRecorder
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.usage.daily_sums import MongoDailySums
from chatstore_cli.mongo.usage.ledger import MongoUsageLedger
from chatstore_cli.mongo.usage.sums import MongoUsageSums
from tests.conftest import shared_server
from tests.support.mongod import Mongod


@pytest.fixture(scope="session")
def second_server() -> Iterator[Mongod]:
    """A replica set of one that a test may kill, pause and start again, and leaves running."""
    yield from shared_server(replica_set=True)


@pytest.fixture
def recorder(connection: Connection) -> UsageRecorder:
    """Records usage events in the usage ledger."""
    return UsageRecorder(MongoUsageLedger(connection, Settings()))


@pytest.fixture
def sums(connection: Connection) -> MongoUsageSums:
    """Adds up the usage events, with the daily sums."""
    return MongoUsageSums(connection, "usage_events", "usage_daily")


@pytest.fixture
def daily_sums(connection: Connection) -> MongoDailySums:
    """Makes the daily sums of usage events."""
    return MongoDailySums(connection, "usage_events", "usage_daily")
