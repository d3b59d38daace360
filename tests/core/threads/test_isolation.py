"""Who sees a thread: every public method of StateManager, for every binding, owner and store."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from chatstore_cli.core.threads.manager import StateManager
from chatstore_cli.core.threads.memory import MockConversationRepository
from chatstore_cli.core.threads.summaries import SummaryRange, summary_content
from chatstore_cli.domain.threads.models import ChatMessage, ChatThread, new_id
from chatstore_cli.domain.threads.ports import ConversationRepository
from tests.support.thread_stores import STORES, repository_of

Call = Callable[[StateManager, str | None, str], Any]

ROWS: dict[str, Call] = {
    "get_thread": lambda m, thread, message: m.get_thread(thread or str(m.current_thread_id)),
    "set_current_thread": lambda m, thread, message: m.set_current_thread(thread or str(m.current_thread_id)),
    "get_current_thread": lambda m, thread, message: (thread and m.set_current_thread(thread), m.get_current_thread()),
    "update_thread": lambda m, thread, message: m.update_thread(thread, name="New"),
    "update_thread: nothing": lambda m, thread, message: m.update_thread(thread),
    "update_thread: to the own owner": lambda m, thread, message: m.update_thread(thread, user_id="alice"),
    "rename_thread": lambda m, thread, message: m.rename_thread("New", thread),
    "delete_thread": lambda m, thread, message: m.delete_thread(thread),
    "clear_thread": lambda m, thread, message: m.clear_thread(thread),
    "fork_thread": lambda m, thread, message: m.fork_thread(None, thread),
    "fork_thread: at a message": lambda m, thread, message: m.fork_thread(message, thread),
    "add_message": lambda m, thread, message: m.add_message("user", "Hello", thread),
    "add_message: repeated": lambda m, thread, message: m.add_message("user", "one", thread, message_id=message),
    "add_message: conflict": lambda m, thread, message: m.add_message("user", "two", thread, message_id=message),
    "add_messages": lambda m, thread, message: m.add_messages([{"role": "user", "content": "Hello"}], thread),
    "get_messages": lambda m, thread, message: m.get_messages(thread),
    "get_messages: newest": lambda m, thread, message: m.get_messages(thread, 1, newest=True),
    "iter_messages": lambda m, thread, message: list(m.iter_messages(thread)),
    "get_message": lambda m, thread, message: m.get_message(message),
    "edit_message": lambda m, thread, message: m.edit_message(message, "two"),
    "edit_message: nothing": lambda m, thread, message: m.edit_message(message, "one"),
    "delete_message": lambda m, thread, message: m.delete_message(message),
    "load_conversation_history": lambda m, thread, message: m.load_conversation_history(thread),
    "load_conversation_history: summary": lambda m, thread, message: m.load_conversation_history(thread, summary=True),
    "summarize": lambda m, thread, message: m.summarize(lambda messages: "All", 0, thread),
    "summarize: nothing": lambda m, thread, message: (m.summarize(lambda messages: "All", 99, thread), "allowed"),
    "messages_to_summarize": lambda m, thread, message: m.messages_to_summarize(0, thread),
    "add_summary": lambda m, thread, message: m.add_summary("All", SummaryRange(1, 3), thread),
    "export_thread": lambda m, thread, message: m.export_thread(thread),
}
"""One call or more for each method that works on a thread. `thread` is None for the current thread."""

OTHERS = {
    "create_thread": "test_a_bound_manager_creates_no_thread_for_others",
    "list_threads": "test_a_list_shows_what_is_within_the_binding",
    "import_thread": "test_a_bound_manager_imports_no_thread_of_others",
    "convert_to_conversation_messages": "test_manager.py: its argument has the messages",
    "create_initial_state": "test_manager.py: it uses no store",
    "update_state": "test_manager.py: it uses no store",
    "get_context": "test_manager.py: it uses no store",
}
"""The public methods that work on no thread that exists, and where they are tested."""

BINDINGS: dict[str, dict[str, Any]] = {
    "both": {"user_id": "alice", "org_id": "acme"},
    "user": {"user_id": "alice"},
    "organisation": {"org_id": "acme"},
    "unbound": {},
}
OWNERS = {"own": ("alice", "acme"), "other user": ("bob", "acme"), "other organisation": ("alice", "other")}
SEEN = {
    ("both", "own"),
    ("user", "own"), ("user", "other organisation"),
    ("organisation", "own"), ("organisation", "other user"),
    ("unbound", "own"), ("unbound", "other user"), ("unbound", "other organisation"),
}  # fmt: skip


STORES_OF_THE_MATRIX = [*STORES[:-1], pytest.param("standalone", marks=[pytest.mark.real, pytest.mark.soak])]
"""Both kinds of server have the same conditions on owners, which the contract of stores tests on each."""


@pytest.fixture(params=STORES)
def repository(request: pytest.FixtureRequest) -> ConversationRepository:
    """A repository on each store."""
    return repository_of(request)


def stored(repository: ConversationRepository, owner: tuple[str, str]) -> tuple[str, str]:
    """The ids of a thread of this owner, and of its first message."""
    thread = ChatThread(user_id=owner[0], org_id=owner[1], name="A thread")
    text, summary = {"type": "text", "text": "one"}, summary_content("Start", SummaryRange(1, 1))
    contents = [("user", text), ("system", summary), ("assistant", {"type": "text", "text": "two"})]
    messages = [ChatMessage(chat_thread_id=thread.id, sender_role=role, content=each) for role, each in contents]
    repository.import_thread(thread, messages)
    return thread.id, messages[0].id


def outcome(row: str, manager: StateManager, thread_id: str | None, ids: tuple[str, str]) -> Any:
    """What a call returned or raised, without the ids."""
    try:
        return ROWS[row](manager, thread_id, ids[1])
    except Exception as error:  # noqa: BLE001 - which error it is, is compared
        return type(error).__name__, str(error).replace(ids[0], "THREAD").replace(ids[1], "MESSAGE")


def test_every_public_method_has_a_row() -> None:
    public = {name for name, _ in inspect.getmembers(StateManager, inspect.isfunction) if not name.startswith("_")}
    assert public == {row.partition(":")[0] for row in ROWS} | OTHERS.keys()
    properties = {name for name, _ in inspect.getmembers(StateManager, lambda each: isinstance(each, property))}
    assert properties == {"repository", "user_id", "org_id", "current_thread_id"}


@pytest.mark.parametrize("repository", STORES_OF_THE_MATRIX, indirect=True)
@pytest.mark.parametrize("row", ROWS)
def test_a_thread_outside_the_binding_is_missing(repository: ConversationRepository, row: str) -> None:
    in_memory = isinstance(repository, MockConversationRepository)
    for binding, bound in BINDINGS.items():
        nothing = (new_id(), new_id())
        missing = outcome(row, StateManager(repository, **bound), nothing[0], nothing)
        for name, owner in OWNERS.items():
            seen = (binding, name) in SEEN
            if seen and not in_memory and (binding, name) != ("both", "own"):
                continue  # on a server, that a thread is seen takes time and is shown by one binding
            ids = stored(repository, owner)
            before = repository.get_thread(ids[0])
            found = outcome(row, StateManager(repository, **bound), ids[0], ids)
            if seen:
                assert found != missing, (binding, name)
            else:
                assert found == missing, (binding, name)
                assert repository.get_thread(ids[0]) == before, (binding, name)


@pytest.mark.parametrize("row", ROWS)
def test_a_current_thread_that_left_the_binding_is_missing(row: str) -> None:
    def after(leave: Callable[[MockConversationRepository, str], object]) -> Any:
        repository = MockConversationRepository()
        ids = stored(repository, ("alice", "acme"))
        manager = StateManager(repository, "alice", "acme")
        manager.set_current_thread(ids[0])
        leave(repository, ids[0])
        before = repository.get_thread(ids[0])
        found = outcome(row, manager, None, ids)
        if before is not None:
            assert repository.get_thread(ids[0]) == before
        return found

    deleted = after(lambda repository, thread_id: repository.delete_thread(thread_id))
    assert after(lambda repository, thread_id: repository.update_thread(thread_id, user_id="bob")) == deleted
    assert after(lambda repository, thread_id: repository.update_thread(thread_id, org_id="other")) == deleted


@pytest.mark.parametrize("wrong", [None, ""])
@pytest.mark.parametrize("field", ["user_id", "org_id"])
def test_an_id_that_is_passed_must_be_one(field: str, wrong: Any) -> None:
    with pytest.raises(ValueError, match=field):
        StateManager(**{field: wrong})
    with pytest.raises(ValueError, match=field):
        StateManager(**{"user_id": "alice", "org_id": "acme", field: wrong})


def test_a_manager_that_is_bound_by_one_id_takes_the_default_for_the_other() -> None:
    expected = {
        "both": ("alice", "acme"),
        "user": ("alice", "default_org"),
        "organisation": ("default_user", "acme"),
        "unbound": ("default_user", "default_org"),
    }
    for binding, ids in BINDINGS.items():
        manager = StateManager(**ids)
        thread = manager.create_thread("A thread")
        assert (manager.user_id, manager.org_id) == (thread.user_id, thread.org_id) == expected[binding]
        assert manager.get_current_thread() == thread


def test_the_owner_of_a_manager_cannot_be_assigned() -> None:
    manager = StateManager(user_id="alice")
    for name in ("user_id", "org_id", "repository", "current_thread_id"):
        with pytest.raises(AttributeError):
            setattr(manager, name, "bob")


def test_a_bound_manager_creates_no_thread_for_others(repository: ConversationRepository) -> None:
    for binding, owner in (("both", {"user_id": "bob"}), ("both", {"org_id": "other"}), ("user", {"user_id": "bob"}),
                           ("organisation", {"org_id": "other"})):  # fmt: skip
        manager = StateManager(repository, **BINDINGS[binding])
        count = len(repository.list_threads(limit=10_000))
        with pytest.raises(ValueError, match=r"bound\. No thread was created"):
            manager.create_thread("A thread", **owner)
        assert len(repository.list_threads(limit=10_000)) == count
        assert manager.current_thread_id is None
    assert StateManager(repository, user_id="alice").create_thread("A thread", org_id="any").org_id == "any"
    assert StateManager(repository).create_thread("A thread", user_id="bob").user_id == "bob"
    own = StateManager(repository, "alice", "acme").create_thread("A thread", "alice", "")
    assert (own.user_id, own.org_id) == ("alice", "acme")


def test_a_list_shows_what_is_within_the_binding(repository: ConversationRepository) -> None:
    ids = {name: stored(repository, owner)[0] for name, owner in OWNERS.items()}

    def shown(binding: str, **filters: Any) -> set[str]:
        listed = StateManager(repository, **BINDINGS[binding]).list_threads(**filters, limit=10_000)
        assert all(thread.chat_messages == [] for thread in listed)
        found = {thread.id for thread in listed}
        return {name for name, thread_id in ids.items() if thread_id in found}

    for binding in BINDINGS:
        assert shown(binding) == {name for name in OWNERS if (binding, name) in SEEN}
    assert shown("both", user_id="bob") == shown("both", org_id="other") == shown("user", user_id="bob") == set()
    assert shown("organisation", org_id="other") == shown("both", user_id="") == shown("unbound", user_id="") == set()
    assert shown("both", user_id="alice", org_id="acme") == {"own"}
    assert shown("organisation", user_id="bob") == {"other user"}
    assert shown("user", org_id="other") == {"other organisation"}
    assert shown("unbound", user_id="bob") == {"other user"}


def test_a_thread_cannot_be_moved_out_of_the_binding(repository: ConversationRepository) -> None:
    ids = stored(repository, ("alice", "acme"))
    before = repository.get_thread(ids[0])
    for binding, change in (("both", {"user_id": "bob"}), ("both", {"org_id": "other"}), ("user", {"user_id": "bob"}),
                            ("organisation", {"org_id": "other"}), ("both", {"user_id": None})):  # fmt: skip
        for thread_id in (ids[0], new_id()):
            with pytest.raises(ValueError, match="The thread was not changed"):
                StateManager(repository, **BINDINGS[binding]).update_thread(thread_id, **change)
    assert repository.get_thread(ids[0]) == before
    moved = StateManager(repository, user_id="alice").update_thread(ids[0], org_id="other")
    assert moved is not None
    assert moved.org_id == "other"
    assert StateManager(repository).update_thread(ids[0], user_id="bob") is not None


def test_a_bound_manager_imports_no_thread_of_others(repository: ConversationRepository) -> None:
    ids = stored(repository, ("bob", "acme"))
    theirs = StateManager(repository).export_thread(ids[0])
    for new_ids in (False, True):
        with pytest.raises(ValueError, match="No thread was imported"):
            StateManager(repository, user_id="alice").import_thread(theirs, new_ids=new_ids)
    repository.delete_thread(ids[0])
    assert StateManager(repository, org_id="acme").import_thread(theirs).user_id == "bob"
