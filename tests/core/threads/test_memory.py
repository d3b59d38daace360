"""MemoryThreadStore under the contract of stores; it and ConversationHistory under several operating system threads.

Whether a method forgets a lock shows too rarely to test by chance. So the lock itself is asked, at each access.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chatstore_cli.core.threads.history import ConversationHistory
from chatstore_cli.core.threads.manager import StateManager
from chatstore_cli.core.threads.memory import MemoryThreadStore
from chatstore_cli.core.threads.repository import StoredConversations
from chatstore_cli.domain.threads.ports import ConversationRepository
from chatstore_cli.testing import ThreadContract
from chatstore_cli.testing.concurrency import at_once


class GuardedDict(dict[str, Any]):
    """A dict that may be used only by the thread that holds a lock."""

    def __init__(self, is_held: Callable[[], bool]) -> None:
        super().__init__()
        self.is_held = is_held


def _guarded(name: str) -> Any:
    def method(self: GuardedDict, *arguments: Any) -> Any:
        assert self.is_held(), f"{name} without the lock"
        return getattr(dict, name)(self, *arguments)

    return method


for _name in (
    "__getitem__",
    "__setitem__",
    "__delitem__",
    "__contains__",
    "__len__",
    "__iter__",
    "get",
    "values",
    "update",
):
    setattr(GuardedDict, _name, _guarded(_name))


class TestGuarded(ThreadContract):
    """The contract, on a store that notices each access without its lock."""

    def new_repository(self) -> ConversationRepository:
        store = MemoryThreadStore()
        is_held = store._lock._is_owned
        for name in ("_threads", "_messages", "_by_id", "_last_sequences"):
            assert getattr(store, name) == {}
            setattr(store, name, GuardedDict(is_held))
        return StoredConversations(store)


def test_a_guarded_dict_notices_an_access_without_the_lock() -> None:
    with pytest.raises(AssertionError, match="get without the lock"):
        GuardedDict(lambda: False).get("a")


def test_a_history_stores_one_message_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = StateManager()
    manager.create_thread("A thread")
    history = ConversationHistory(state_manager=manager, persist_to_db=True)
    added, read = manager.add_message, manager.get_messages

    def checked_add(*arguments: Any, **options: Any) -> Any:
        assert history._adding.locked()
        assert not history._memory.locked()  # others can read meanwhile
        return added(*arguments, **options)

    def checked_read(*arguments: Any, **options: Any) -> Any:
        assert history._adding.locked()
        return read(*arguments, **options)

    monkeypatch.setattr(manager, "add_message", checked_add)
    monkeypatch.setattr(manager, "get_messages", checked_read)

    def write() -> None:
        for number in range(20):
            history.add_user_message(str(number))

    assert at_once([write] * 4) == [None] * 4
    assert history.get_messages() == manager.load_conversation_history()
    history.load_from_db()
    assert len(history) == 80
