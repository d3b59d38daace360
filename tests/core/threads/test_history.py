"""ConversationHistory: memory, and what it stores."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from chatstore_cli.core.threads.history import ConversationHistory
from chatstore_cli.core.threads.manager import StateManager
from chatstore_cli.domain.errors import InvalidThreadData, NoActiveThread, ThreadNotFound, Unreachable
from chatstore_cli.domain.threads.models import Message


@pytest.fixture
def manager() -> StateManager:
    """A manager in memory with a current thread."""
    manager = StateManager(user_id="alice")
    manager.create_thread("A thread")
    return manager


def contents(history: ConversationHistory) -> list[str]:
    """The texts in memory."""
    return [message.content for message in history.get_messages()]


def stored(manager: StateManager, thread_id: str | None = None) -> list[str]:
    """The texts in the thread."""
    return [message.content["text"] for message in manager.get_messages(thread_id)]


def test_the_attributes() -> None:
    history = ConversationHistory(5, 100)
    assert (history.max_messages, history.max_tokens, history.state_manager) == (5, 100, None)
    assert (history.persist_to_db, list(history.messages), history.messages.maxlen) == (False, [], 5)
    history.add_user_message("Hello")
    assert len(history) == 1
    assert repr(history) == "ConversationHistory(messages=1, max_messages=5)"
    assert repr(ConversationHistory()) == "ConversationHistory(messages=0, max_messages=None)"


def test_each_message_is_stored_when_the_call_returns(manager: StateManager) -> None:
    history = ConversationHistory(state_manager=manager, persist_to_db=True)
    history.add_user_message("one", {"a": 1})
    assert stored(manager) == ["one"]
    history.add_assistant_message("two")
    history.add_system_message("three")
    history.add_tool_result("search", "four", {"b": 2})
    history.add_message("user", "five")
    assert manager.load_conversation_history() == history.get_messages()
    assert [(message.role, message.metadata) for message in history.get_messages()] == [
        ("user", {"a": 1}), ("assistant", {}), ("system", {}), ("tool", {"b": 2, "tool_name": "search"}), ("user", {}),
    ]  # fmt: skip


def test_nothing_is_stored_unless_it_is_wanted(manager: StateManager) -> None:
    history = ConversationHistory(state_manager=manager)
    history.add_user_message("one")
    assert (len(history), stored(manager)) == (1, [])


def test_without_a_manager_a_warning_says_that_nothing_is_stored(caplog: pytest.LogCaptureFixture) -> None:
    history = ConversationHistory(persist_to_db=True)
    with caplog.at_level(logging.WARNING, "chatstore.threads"):
        history.add_user_message("one")
        history.load_from_db("t-1")
    assert [record.message for record in caplog.records] == [
        "[CHAT THREADS] A message was not stored, because its history has no state_manager.",
        "[CHAT THREADS] A conversation was not loaded, because its history has no state_manager.",
    ]
    assert contents(history) == ["one"]


def test_the_caller_keeps_his_metadata(manager: StateManager) -> None:
    history = ConversationHistory(state_manager=manager, persist_to_db=True)
    metadata: dict[str, Any] = {"a": 1, "tool_name": "mine"}
    history.add_tool_result("search", "found", metadata)
    history.add_user_message("one", metadata)
    assert metadata == {"a": 1, "tool_name": "mine"}
    metadata["a"] = 2
    assert [message.metadata["a"] for message in history.get_messages()] == [1, 1]


def test_what_is_not_stored_is_not_in_memory(manager: StateManager, monkeypatch: pytest.MonkeyPatch) -> None:
    history = ConversationHistory(state_manager=manager, persist_to_db=True)
    history.add_user_message("one")
    for role, content, metadata in (("critic", "x", {}), ("user", "\0", {}), ("user", "x", {"a": float("nan")})):
        with pytest.raises(InvalidThreadData):
            history.add_message(role, content, metadata)
    with pytest.raises(InvalidThreadData, match="content: "):
        history.add_user_message(5)
    with monkeypatch.context() as patch:
        patch.setattr(
            manager.repository, "create_message", lambda *a, **k: (_ for _ in ()).throw(Unreachable(what="gone"))
        )
        with pytest.raises(Unreachable):
            history.add_user_message("two")
    manager.delete_thread()
    with pytest.raises(NoActiveThread):
        history.add_user_message("three")
    assert contents(history) == ["one"]


def test_a_message_goes_to_the_thread_that_is_current_when_it_is_added(manager: StateManager) -> None:
    first = manager.current_thread_id
    history = ConversationHistory(state_manager=manager, persist_to_db=True)
    history.add_user_message("one")
    second = manager.create_thread("Second").id
    history.add_user_message("two")
    assert (stored(manager, first), stored(manager, second)) == (["one"], ["two"])
    manager.delete_thread()
    manager.set_current_thread(str(first))
    manager.repository.delete_thread(str(first))
    with pytest.raises(ThreadNotFound):
        history.add_user_message("three")


def test_the_limits_change_memory_only(manager: StateManager) -> None:
    history = ConversationHistory(2, state_manager=manager, persist_to_db=True)
    for text in "abc":
        history.add_user_message(text)
    assert (contents(history), stored(manager)) == (["b", "c"], ["a", "b", "c"])
    history.clear()
    assert (contents(history), stored(manager)) == ([], ["a", "b", "c"])


@pytest.mark.parametrize(
    ("lengths", "kept"), [([8, 8], 2), ([8, 9], 1), ([8, 100], 1), ([100], 1), ([100, 4, 4, 8], 3), ([0, 16, 0], 3)]
)
def test_a_token_is_four_characters(lengths: list[int], kept: int) -> None:
    history = ConversationHistory(max_tokens=4)
    for length in lengths:
        history.add_user_message("x" * length)
    assert [len(text) for text in contents(history)] == lengths[-kept:]


def test_the_last_messages() -> None:
    history = ConversationHistory()
    for text in "abc":
        history.add_user_message(text)
    everything = [Message(role="user", content=text) for text in "abc"]
    assert history.get_messages() == history.get_messages(0) == history.get_messages(9) == everything
    assert history.get_messages(2) == everything[1:]
    history.get_messages().clear()
    assert len(history) == 3


def test_the_prompt() -> None:
    history = ConversationHistory()
    assert history.format_for_prompt() == ""
    history.add_system_message("Be brief")
    history.add_user_message("Hello")
    history.add_assistant_message("Hi")
    history.add_tool_result("search", "found")
    history.add_message("tool", "unnamed")
    history.add_message("critic", "vanishes")
    lines = ["System: Be brief", "User: Hello", "Assistant: Hi", "Tool (search): found", "Tool (unknown): unnamed"]
    assert history.format_for_prompt() == "\n".join(lines[1:])
    assert history.format_for_prompt(include_system=True) == "\n".join(lines)
    assert history.format_for_prompt(last_n=3) == "\n".join(lines[3:])


def test_a_conversation_is_loaded_within_the_limits(manager: StateManager) -> None:
    for text in ("a" * 8, "b" * 8, "c" * 8):
        manager.add_message("user", text)
    thread_id = manager.current_thread_id
    other = manager.create_thread("Other")
    history = ConversationHistory(state_manager=manager)
    history.add_user_message("replaced")
    history.load_from_db(thread_id)
    assert contents(history) == ["a" * 8, "b" * 8, "c" * 8]
    assert manager.current_thread_id == other.id
    for limits in ({"max_messages": 2}, {"max_tokens": 4}):
        limited = ConversationHistory(**limits, state_manager=manager)
        limited.load_from_db(thread_id)
        assert contents(limited) == ["b" * 8, "c" * 8]
    history.load_from_db("missing")
    assert contents(history) == []


def test_loading_raises_what_failed(manager: StateManager, monkeypatch: pytest.MonkeyPatch) -> None:
    history = ConversationHistory(state_manager=manager)
    history.add_user_message("one")
    with monkeypatch.context() as patch:
        patch.setattr(
            manager.repository, "get_messages", lambda *a, **k: (_ for _ in ()).throw(Unreachable(what="gone"))
        )
        with pytest.raises(Unreachable):
            history.load_from_db()
    manager.delete_thread()
    with pytest.raises(NoActiveThread):
        history.load_from_db()
    assert contents(history) == ["one"]
