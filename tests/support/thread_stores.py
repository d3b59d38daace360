"""The stores of threads on which tests run."""

from __future__ import annotations

import pytest

from chatstore_cli.core.threads.memory import MockConversationRepository
from chatstore_cli.domain.threads.ports import ConversationRepository

STORES = ["memory"]


def repository_of(request: pytest.FixtureRequest) -> ConversationRepository:
    """The repository of the store that the test's parameter names."""
    return MockConversationRepository()
