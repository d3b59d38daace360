"""The contract of thread stores, as tests for a store of your own.

    class TestMyStore(ThreadContract):
        def new_repository(self):
            return StoredConversations(MyThreadStore())

pytest collects such a class in a test module. The package itself does not import pytest. For the values in failed
assertions, call `pytest.register_assert_rewrite("chatstore_cli.testing")` in conftest.py before this package is imported.
"""

from __future__ import annotations

from chatstore_cli.testing.concurrency import ConcurrencyContract
from chatstore_cli.testing.edits import EditContract
from chatstore_cli.testing.messages import MessageContract
from chatstore_cli.testing.owners import OwnerContract
from chatstore_cli.testing.threads import ThreadOnlyContract
from chatstore_cli.testing.values import ValueContract
from chatstore_cli.testing.whole_threads import WholeThreadContract

__all__ = ["ThreadContract"]


class ThreadContract(
    ThreadOnlyContract,
    MessageContract,
    EditContract,
    OwnerContract,
    WholeThreadContract,
    ValueContract,
    ConcurrencyContract,
):
    """Everything that a ConversationRepository promises. A subclass implements `new_repository`.

    The repository may hold threads of other tests. Each test has a user and a tenant of its own.
    """
