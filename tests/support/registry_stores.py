"""The stores of the session registry on which tests run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.session_registry.memory import MemoryRegistryStore
from chatstore_cli.core.session_registry.registry import SessionRegistry
from chatstore_cli.domain.session_registry import RegistryStore, WorkflowRequest
from chatstore_cli.mongo.session_registry.store import MongoRegistryStore
from tests.support.in_memory import connection_in_memory

STORES = ["memory", "mongomock", pytest.param("connection", marks=pytest.mark.real)]
"""In memory, on mongomock, and on a replica set."""
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def store_of(request: pytest.FixtureRequest) -> RegistryStore:
    """An empty store of the kind that the test's parameter names."""
    if request.param == "memory":
        return MemoryRegistryStore()
    if request.param == "mongomock":
        connection = connection_in_memory()
        return MongoRegistryStore(connection, Settings())
    return MongoRegistryStore(request.getfixturevalue("connection"), Settings())


class Ticking:
    """A clock that advances by a minute with each reading."""

    def __init__(self) -> None:
        self._minutes = 0

    def __call__(self) -> datetime:
        self._minutes += 1
        return NOON + timedelta(minutes=self._minutes)


class Guard:
    """Prerequisites that refuse with `reason` unless it is None, and remember what they were asked."""

    def __init__(self, reason: str | None = None) -> None:
        self.reason = reason
        self.asked: list[WorkflowRequest] = []
        self.meanwhile: Callable[[], Any] | None = None
        """Called once, while the prerequisites are asked."""

    def refusal(self, request: WorkflowRequest) -> str | None:
        self.asked.append(request)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return self.reason


def statuses(registry: SessionRegistry, ws_id: str) -> dict[str, str]:
    """The status of each workflow, in order."""
    return {each.chat_id: each.status for each in registry.get_all_workflows(ws_id)}
