"""StateManager: what the library fluxibly does, and what is new. Who sees what is in test_isolation.py."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chatstore_cli.core.threads.manager import StateManager
from chatstore_cli.core.threads.memory import MockConversationRepository
from chatstore_cli.domain.errors import (
    ChatstoreError,
    Conflict,
    InvalidThreadData,
    MessageNotFound,
    NoActiveThread,
    NotFound,
    ThreadNotFound,
)
from chatstore_cli.domain.threads.models import ChatMessage, Message
from chatstore_cli.domain.threads.ports import Owner


@pytest.fixture
def manager() -> StateManager:
    """A manager in memory with a current thread."""
    manager = StateManager(user_id="alice", org_id="acme")
    manager.create_thread("A thread")
    return manager


def texts(manager: StateManager, **window: Any) -> list[str]:
    """The texts of the messages of the current thread."""
    return [message.content["text"] for message in manager.get_messages(**window)]


# --- the current thread


def test_the_documented_errors() -> None:
    manager = StateManager()
    no_thread = "No active thread. Create or set a thread first."
    for call in (
        lambda: manager.add_message("user", "Hello"),
        lambda: manager.add_messages([]),
        manager.get_messages,
        manager.clear_thread,
        manager.delete_thread,
        manager.load_conversation_history,
        manager.export_thread,
        manager.fork_thread,
    ):
        with pytest.raises(NoActiveThread) as caught:
            call()
        assert str(caught.value) == no_thread
        assert isinstance(caught.value, ValueError)
    with pytest.raises(ThreadNotFound) as caught_missing:
        manager.set_current_thread("X")
    assert str(caught_missing.value) == "Thread X not found"
    with pytest.raises(ValueError) as caught_value:
        manager.add_message("user", "Hello", thread_id="X")
    assert str(caught_value.value) == "Thread X does not exist"
    assert isinstance(caught_value.value, NotFound)
    assert manager.get_current_thread() is None
    assert manager.get_messages("X") == manager.load_conversation_history("X") == []
    assert (manager.clear_thread("X"), manager.delete_thread("X"), manager.get_thread("X")) == (0, False, None)


def test_a_new_thread_is_the_current_one(manager: StateManager) -> None:
    first = manager.current_thread_id
    second = manager.create_thread("Second")
    assert manager.get_current_thread() == second
    assert first is not None
    manager.set_current_thread(first)
    manager.add_message("user", "one")
    manager.add_message("user", "two", second.id)
    assert (texts(manager), manager.current_thread_id) == (["one"], first)


def test_deleting_the_current_thread_leaves_none(manager: StateManager) -> None:
    current = manager.current_thread_id
    other = manager.create_thread("Other")
    assert manager.delete_thread(current) is True
    assert manager.get_current_thread() == other
    assert manager.delete_thread() is True
    assert manager.current_thread_id is None


def test_an_empty_thread_id_is_not_the_current_thread(manager: StateManager) -> None:
    manager.add_message("user", "one")
    assert manager.get_messages("") == []
    assert manager.delete_thread("") is False
    assert texts(manager) == ["one"]


@pytest.mark.parametrize("wrong", [None, 5, b"t", "a\0b"])
def test_what_cannot_be_an_id_is_no_thread(wrong: Any) -> None:
    """`set_current_thread(None)`, for example, after a look-up that found no thread."""
    manager = StateManager()
    words = re.escape(f"Thread {wrong} ")
    with pytest.raises(ThreadNotFound, match=f"^{words}not found$"):
        manager.set_current_thread(wrong)
    with pytest.raises(ThreadNotFound, match=f"^{words}does not exist$"):
        manager.repository.fork_thread(wrong)
    if wrong is not None:
        with pytest.raises(ThreadNotFound, match=f"^{words}does not exist$"):
            manager.add_message("user", "Hello", wrong)


def test_threads_without_their_messages_load_none(monkeypatch: pytest.MonkeyPatch, manager: StateManager) -> None:
    manager.add_message("user", "one")
    current = manager.current_thread_id
    assert current is not None
    store = manager.repository._store
    monkeypatch.setattr(store, "messages", lambda *arguments: pytest.fail("messages were loaded"))
    manager.set_current_thread(current)
    for thread in (manager.get_current_thread(), *manager.list_threads(), manager.rename_thread("New")):
        assert thread is not None
        assert thread.chat_messages == []


def test_the_mock_counts() -> None:
    repository = MockConversationRepository()
    manager = StateManager(repository)
    manager.create_thread("A thread")
    manager.add_message("user", "one")
    manager.create_thread("Another")
    assert repository.get_stats() == {"threads": 2, "messages": 1, "total_thread_messages": 1}
    manager.delete_thread()
    manager.clear_thread(manager.list_threads()[0].id)
    assert repository.get_stats() == {"threads": 1, "messages": 0, "total_thread_messages": 0}


# --- messages


def test_what_a_message_becomes(manager: StateManager) -> None:
    content: dict[str, Any] = {"type": "text", "text": "Hi", "metadata": {"a": 1, "b": 2}}
    metadata = {"c": [3]}
    assert manager.add_message("user", "Hello").content == {"type": "text", "text": "Hello"}
    assert manager.add_message("user", "Hello", metadata=metadata).content["metadata"] == {"c": [3]}
    assert manager.add_message("user", content, metadata=metadata).content["metadata"] == {"c": [3]}
    assert manager.add_message("user", content, metadata={}).content == content
    assert (content["metadata"], metadata) == ({"a": 1, "b": 2}, {"c": [3]})
    sent = manager.add_message("tool", {"type": "image"}, sender_id="bob", message_id="m-1")
    assert (sent.id, sent.sender_id, sent.sender_role, sent.content) == ("m-1", "bob", "tool", {"type": "image"})


def test_a_role_outside_the_four_needs_a_repository_that_is_not_strict(manager: StateManager) -> None:
    with pytest.raises(InvalidThreadData, match="'critic' is not one of assistant, system, tool, user"):
        manager.add_message("critic", "Hello")
    lenient = StateManager(MockConversationRepository(strict_roles=False))
    lenient.create_thread("A thread")
    assert lenient.add_message("critic", "Hello").sender_role == "critic"
    for role in ("", None, 1):
        with pytest.raises(InvalidThreadData, match="sender_role"):
            lenient.add_message(role, "Hello")


@pytest.mark.parametrize("content", [None, 1, ["Hello"], b"Hello"])
def test_content_is_a_text_or_an_object(manager: StateManager, content: Any) -> None:
    with pytest.raises(InvalidThreadData, match="content: a"):
        manager.add_message("user", content)
    with pytest.raises(InvalidThreadData, match="content: a"):
        manager.add_message("user", content, metadata={"a": 1})


def test_errors_name_the_wrong_value_in_plain_words(manager: StateManager) -> None:
    def error_of(call: Callable[[], object]) -> str:
        with pytest.raises(ChatstoreError) as caught:
            call()
        return caught.value.as_text()

    assert error_of(lambda: StateManager(user_id=None)) == (
        "user_id: a text is expected, not null. It cannot be stored. "
        "Check where the id comes from. To see the threads of all users, leave user_id and org_id out."
    )
    assert error_of(lambda: manager.create_thread("")) == "name: it is empty. It can have 1 to 10,000 characters."
    wrong_metadata = {"a": {1}}
    assert error_of(lambda: manager.add_message("user", "x", metadata=wrong_metadata)) == (
        "content.metadata.a: a JSON value is expected, not set. It cannot be stored."
    )
    assert error_of(lambda: manager.import_thread([])) == (
        "The export: text, bytes or an object is expected, not a list."
    )
    assert error_of(lambda: manager.set_current_thread(None)).startswith("Thread None not found. ")


def test_messages_are_added_together(manager: StateManager) -> None:
    given = [
        {"role": "user", "content": "one", "message_id": "m-1"},
        {"role": "assistant", "content": {"type": "text", "text": "two"}, "metadata": {"a": 1}, "sender_id": "bot"},
    ]
    added = manager.add_messages(given)
    assert manager.get_messages() == added
    assert [(each.sender_role, each.sender_id, each.content) for each in added] == [
        ("user", None, {"type": "text", "text": "one"}),
        ("assistant", "bot", {"type": "text", "text": "two", "metadata": {"a": 1}}),
    ]
    assert manager.add_messages(given[:1]) == added[:1]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("Hello", r"messages\[1\]: a mapping is expected, not a text"),
        (("user", "Hello"), r"messages\[1\]: a mapping is expected, not tuple"),
        ({"role": "user"}, r"messages\[1\]: the key 'content' is missing"),
        ({"role": "user", "content": "x", "name": "bob"}, r"messages\[1\]: the key 'name' is not known"),
        ({"role": "user", "content": "x", 1: 2}, r"messages\[1\]: the key 1 is not known"),
    ],
)
def test_a_wrong_message_among_several_stores_none(manager: StateManager, message: Any, words: str) -> None:
    with pytest.raises(InvalidThreadData, match=words):
        manager.add_messages([{"role": "user", "content": "one"}, message])
    assert manager.get_messages() == []


def test_edits_and_deletions(manager: StateManager) -> None:
    message = manager.add_message("user", "one", metadata={"a": 1})
    edited = manager.edit_message(message.id, "two", {"b": 2})
    assert edited is not None
    assert edited.content == {"type": "text", "text": "two", "metadata": {"b": 2}}
    assert edited.edits[0].content == message.content
    assert manager.edit_message("missing", "two") is None
    assert (manager.delete_message(message.id), manager.delete_message(message.id)) == (True, False)


# --- histories


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"type": "text", "text": "Hello"}, "Hello"),
        ({"text": "data: no media"}, "data: no media"),
        ({}, ""),
        ({"type": "text", "text": None}, ""),
        ({"type": "text", "text": 5}, ""),
        ({"type": "text", "text": {"value": "x"}}, ""),
        ({"type": "tool_call", "name": "f"}, ""),
        ({"type": "parts", "text": [{"type": "text", "text": "a"}, "b", {"type": "unknown"}, 5, None]}, "a\nb"),
        ({"parts": [{"type": "text", "text": "a"}]}, "a"),
        ({"content": ["a", {"type": "output_text", "text": "b"}]}, "a\nb"),
        (
            {"content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
            "[image image/png, 3 bytes]",
        ),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}, "[image image/png, 3 bytes]"),
    ],
)
def test_the_text_of_a_content(content: dict[str, Any], text: str) -> None:
    messages = [ChatMessage(chat_thread_id="t", sender_role="user", content=content)]
    assert StateManager().convert_to_conversation_messages(messages) == [Message(role="user", content=text)]


@pytest.mark.parametrize("metadata", [None, "text", 5, [1]])
def test_metadata_that_are_no_object_count_as_none(metadata: Any) -> None:
    message = ChatMessage(chat_thread_id="t", sender_role="user", content={"text": "a", "metadata": metadata})
    assert StateManager().convert_to_conversation_messages([message]) == [Message(role="user", content="a")]


def test_a_history_has_roles_texts_and_metadata(manager: StateManager) -> None:
    manager.add_message("user", "one", sender_id="bob", metadata={"a": 1})
    manager.add_message("assistant", "two")
    expected = [Message(role="user", content="one", metadata={"a": 1}), Message(role="assistant", content="two")]
    assert manager.load_conversation_history() == expected


def test_a_summary_stands_for_the_messages_before_it(manager: StateManager) -> None:
    for number in range(12):
        manager.add_message("user", str(number))
    asked: list[list[str]] = []

    def summarizer(messages: list[Message]) -> str:
        asked.append([message.content for message in messages])
        return f"summary {len(asked)}"

    first = manager.summarize(summarizer, keep_last=3)
    assert first is not None
    assert (first.sender_role, first.content["text"]) == ("system", "summary 1")
    sequences = [message.sequence for message in manager.get_messages()]
    assert first.content["metadata"]["summary"] == {"from_sequence": sequences[0], "to_sequence": sequences[8]}
    assert manager.summarize(summarizer, keep_last=3) is None
    manager.add_messages([{"role": "user", "content": text} for text in ("12", "13")])
    second = manager.summarize(summarizer, keep_last=1)
    assert asked == [list("012345678"), ["summary 1", "9", "10", "11", "12"]]
    assert second is not None
    last_covered = manager.get_messages()[13]
    assert second.content["metadata"]["summary"] == {
        "from_sequence": sequences[0],
        "to_sequence": last_covered.sequence,
    }
    manager.add_message("user", "14")
    history = manager.load_conversation_history(summary=True)
    assert [message.content for message in history] == ["summary 2", "13", "14"]
    assert len(manager.load_conversation_history()) == len(manager.get_messages()) == 17


def test_a_history_without_a_summary_is_whole(manager: StateManager) -> None:
    manager.add_message("user", "one")
    assert manager.load_conversation_history(summary=True) == manager.load_conversation_history()
    assert manager.summarize(lambda messages: "All", keep_last=1) is None
    assert manager.summarize(lambda messages: "All", keep_last=0) is not None


@pytest.mark.parametrize("wrong", ["", None, 5])
def test_a_summarizer_returns_a_text(manager: StateManager, wrong: Any) -> None:
    manager.add_message("user", "one")
    with pytest.raises(InvalidThreadData, match="summarizer"):
        manager.summarize(lambda messages: wrong, keep_last=0)
    with pytest.raises(InvalidThreadData, match="keep_last"):
        manager.summarize(lambda messages: "All", keep_last=-1)
    assert len(manager.get_messages()) == 1


def test_a_fork_ends_with_the_message(manager: StateManager) -> None:
    parent = manager.current_thread_id
    messages = [manager.add_message("user", text) for text in "abc"]
    fork = manager.fork_thread(messages[1].id, name="Fork")
    assert manager.current_thread_id == parent
    manager.set_current_thread(fork.id)
    assert (texts(manager), fork.name) == (["a", "b"], "Fork")
    for message_id in ("missing", messages[0].id):  # of another thread than the fork
        with pytest.raises(MessageNotFound, match=f"Message {message_id} is not in thread {fork.id}"):
            manager.fork_thread(message_id)


def test_a_parent_that_is_deleted_while_it_is_copied_has_no_fork(manager: StateManager) -> None:
    parent = str(manager.current_thread_id)
    manager.add_messages([{"role": "user", "content": "one"}] * 3)
    store = manager.repository._store
    copied = store.messages

    def deleted_meanwhile(thread_id: str, window: Any, owner: Owner) -> Any:
        messages = list(copied(thread_id, window, owner))
        if window.limit is None:
            store.remove_thread(thread_id, owner)
        return iter(messages[:1])

    store.messages = deleted_meanwhile
    with pytest.raises(ThreadNotFound):
        manager.fork_thread()
    assert manager.list_threads() == []
    assert manager.get_thread(parent) is None


# --- export and import


def test_an_export_is_imported_without_loss(manager: StateManager) -> None:
    message = manager.add_message("user", "one", sender_id="bob", metadata={"a": [1, 1.0, True, None, "\u2028"]})
    manager.edit_message(message.id, {"type": "parts", "text": [{"$x": -0.0}]})
    manager.add_message("assistant", "two")
    fork = manager.fork_thread()
    whole = manager.get_thread(fork.id)
    text = manager.export_thread(fork.id)
    with pytest.raises(Conflict, match=fork.id):
        manager.import_thread(text)
    copy = manager.import_thread(text, new_ids=True)
    manager.delete_thread(fork.id)
    for source in (text, text.encode(), json.loads(text)):
        manager.import_thread(source)
        assert manager.get_thread(fork.id) == whole
        manager.delete_thread(fork.id)
    assert whole is not None
    read = manager.get_thread(copy.id)
    assert read is not None
    ids = {"id": True, "chat_messages": {"__all__": {"id", "chat_thread_id"}}}
    assert read.model_dump(exclude=ids) == whole.model_dump(exclude=ids)
    assert read.id != whole.id


def test_a_dump_of_the_documented_library_is_imported(manager: StateManager) -> None:
    dump = {
        "id": "t-1", "user_id": "alice", "org_id": "acme", "name": "", "created_at": "2026-01-02T03:04:05.123456",
        "updated_at": "2026-01-02T03:04:06", "chat_messages": [{
            "id": "m-1", "chat_thread_id": "t-1", "sender_id": None, "sender_role": "user",
            "content": {"type": "text", "text": "Hello", "metadata": {}}, "created_at": "2026-01-02T03:04:06",
            "updated_at": "2026-01-02T03:04:06",
        }],
    }  # fmt: skip
    thread = manager.import_thread(json.dumps(dump))
    assert thread.created_at.isoformat() == "2026-01-02T03:04:05.123000+00:00"
    [message] = manager.get_messages("t-1")
    assert (message.sequence, message.content["text"]) == (1, "Hello")
    assert message.created_at.isoformat() == "2026-01-02T03:04:06+00:00"


# --- the state of an agent


def test_the_state_of_an_agent() -> None:
    manager = StateManager()
    state = manager.create_initial_state({"a": 1})
    assert state == {
        "messages": [], "plan": [], "context": {"a": 1}, "mcp_results": [], "metadata": {}, "extracted_content": [],
        "content_tree": {}, "error": None,
    }  # fmt: skip
    assert (manager.get_context(state, "a"), manager.get_context(state, "b")) == (1, None)
    assert manager.update_state(state, {"error": "broken", "plan": [1]}) is state
    assert (state["error"], state["plan"], state["messages"]) == ("broken", [1], [])


# --- several threads of the operating system


def test_a_manager_serves_several_threads(manager: StateManager) -> None:
    def work(number: int) -> None:
        thread = manager.create_thread(str(number))
        for step in range(20):
            manager.add_message("user", str(step), thread.id)
            manager.add_message("user", "to any")  # whatever the current thread is
            manager.set_current_thread(thread.id)
        manager.delete_thread(thread.id)

    first = str(manager.current_thread_id)
    manager.add_message("user", "first")
    with ThreadPoolExecutor(4) as pool:
        results = [future.exception() for future in [pool.submit(work, number) for number in range(4)]]
    # A thread may have been deleted, or left no current one, between two calls. Nothing else may fail.
    assert all(error is None or isinstance(error, ThreadNotFound | NoActiveThread) for error in results)
    assert manager.get_messages(first)[0].content["text"] == "first"
