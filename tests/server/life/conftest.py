"""The command on a MongoDB that these tests stop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.conftest import Chatstore
from tests.support.mongod import Mongod


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
