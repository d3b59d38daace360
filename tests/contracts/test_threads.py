"""The contract of threads, which chatstore_cli.testing exports, over the stores that use a driver.

The store in memory runs it in tests/core/threads/test_memory.py.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from chatstore_cli.core.threads.memory import MemoryThreadStore
from chatstore_cli.core.threads.repository import StoredConversations
from chatstore_cli.domain.threads.models import ChatMessage
from chatstore_cli.domain.threads.ports import ConversationRepository, Owner
from chatstore_cli.testing import ThreadContract
from chatstore_cli.testing.concurrency import ConcurrencyContract
from tests.support.paths import ROOT
from tests.support.thread_stores import SERVERS, repository_of
from tests.test_readme import blocks


class TestThreads(ThreadContract):
    """The whole contract, for each store."""

    @pytest.fixture(autouse=True, params=["mongomock", *SERVERS])
    def _store(self, request: pytest.FixtureRequest) -> None:
        if request.param == "mongomock" and request.function.__qualname__.startswith(ConcurrencyContract.__name__):
            pytest.skip("mongomock cannot compare and change a document in one step")
        self._repository = repository_of(request)

    def new_repository(self) -> ConversationRepository:
        return self._repository


def test_the_example_of_the_manual() -> None:
    [example] = [block.text for block in blocks("docs/library.md") if "ThreadContract" in block.text]
    assert len(example.splitlines()) <= 10
    program: dict[str, Any] = {}
    exec(example, program)
    contract = program["TestMyStore"]()
    assert isinstance(contract, ThreadContract)
    contract.test_windows()
    contract.test_an_imported_thread_is_as_it_was()


def test_the_contract_notices_a_lost_message() -> None:
    contract = TestThreads()
    contract._repository = StoredConversations(LosingStore())
    with pytest.raises(AssertionError):
        contract.test_messages_are_added_together()


class LosingStore(MemoryThreadStore):
    """A store that loses each message whose text is 7."""

    def add_messages(self, thread_id: str, messages: Sequence[ChatMessage], owner: Owner) -> list[ChatMessage] | None:
        return super().add_messages(thread_id, [each for each in messages if each.content["text"] != "7"], owner)


def test_the_contract_needs_no_pytest() -> None:
    program = "import sys; sys.modules['pytest'] = None; from chatstore_cli.testing import ThreadContract"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
