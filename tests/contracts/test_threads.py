"""The contract of threads, which chatstore_cli.testing exports, over every store."""

from __future__ import annotations

import pytest

from chatstore_cli.domain.threads.ports import ConversationRepository
from chatstore_cli.testing import ThreadContract
from tests.support.thread_stores import STORES, repository_of


class TestThreads(ThreadContract):
    """The whole contract, for each store."""

    @pytest.fixture(autouse=True, params=STORES)
    def _store(self, request: pytest.FixtureRequest) -> None:
        self._repository = repository_of(request)

    def new_repository(self) -> ConversationRepository:
        return self._repository
