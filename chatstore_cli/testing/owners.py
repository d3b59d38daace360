"""The contract of owners: a thread of another owner is treated exactly like one that does not exist."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chatstore_cli.core.threads.summaries import SummaryRange, summary_content
from chatstore_cli.domain.threads.models import ChatMessage, ChatThread
from chatstore_cli.domain.threads.ports import ConversationRepository, Owner
from chatstore_cli.testing.scene import ContractTests, Scene, request

Call = Callable[[ConversationRepository, ChatThread, ChatMessage, Owner], object]

CALLS: dict[str, Call] = {
    "get_thread": lambda stored, thread, message, owner: stored.get_thread(thread.id, owner=owner),
    "update_thread": lambda stored, thread, message, owner: stored.update_thread(thread.id, owner=owner, name="x"),
    "delete_thread": lambda stored, thread, message, owner: stored.delete_thread(thread.id, owner=owner),
    "create_message": lambda stored, thread, message, owner: stored.create_message(request(thread), owner=owner),
    "a repeated message": lambda stored, thread, message, owner: stored.create_message(
        request(thread, message.content["text"], message.id), owner=owner
    ),
    "create_messages": lambda stored, thread, message, owner: stored.create_messages([request(thread)], owner=owner),
    "get_messages": lambda stored, thread, message, owner: stored.get_messages(thread.id, owner=owner),
    "the newest messages": lambda stored, thread, message, owner: stored.get_messages(
        thread.id, 1, newest=True, owner=owner
    ),
    "iter_messages": lambda stored, thread, message, owner: list(stored.iter_messages(thread.id, owner=owner)),
    "get_message": lambda stored, thread, message, owner: stored.get_message(message.id, owner=owner),
    "edit_message": lambda stored, thread, message, owner: stored.edit_message(message.id, {"n": 1}, owner=owner),
    "an edit that changes nothing": lambda stored, thread, message, owner: stored.edit_message(
        message.id, message.content, owner=owner
    ),
    "delete_message": lambda stored, thread, message, owner: stored.delete_message(message.id, owner=owner),
    "clear_messages": lambda stored, thread, message, owner: stored.clear_messages(thread.id, owner=owner),
    "newest_summary": lambda stored, thread, message, owner: stored.newest_summary(thread.id, owner=owner),
    "fork_thread": lambda stored, thread, message, owner: stored.fork_thread(thread.id, owner=owner),
}


class OwnerContract(ContractTests):
    def test_a_thread_of_another_owner_is_missing(self) -> None:
        scene = self.scene()
        thread, message = _thread_with_summary(scene)
        gone, gone_message = _thread_with_summary(scene)
        scene.repository.delete_thread(gone.id)
        stored = scene.repository.get_thread(thread.id)
        others = [Owner("someone", None), Owner(None, "else"), Owner(scene.user_id, "else"), Owner("x", scene.org_id)]
        for name, call in CALLS.items():
            expected = _outcome(call, scene, gone, gone_message, Owner())
            for owner in others:
                assert _outcome(call, scene, thread, message, owner) == expected, (name, owner)
        assert scene.repository.get_thread(thread.id) == stored
        assert [each.id for each in scene.repository.list_threads(scene.user_id)] == [thread.id]

    def test_the_owner_of_a_thread_may_do_everything(self) -> None:
        scene = self.scene()
        for name, call in CALLS.items():
            thread, message = _thread_with_summary(scene)
            assert call(scene.repository, thread, message, Owner(scene.user_id, scene.org_id)), name

    def test_a_user_or_a_tenant_alone_is_an_owner(self) -> None:
        scene = self.scene()
        thread = scene.thread("A thread", "one")
        for owner in (Owner(scene.user_id), Owner(None, scene.org_id)):
            scene.repository.create_message(request(thread, "more"), owner=owner)
            assert scene.repository.get_thread(thread.id, owner=owner) == scene.repository.get_thread(thread.id)


def _thread_with_summary(scene: Scene) -> tuple[ChatThread, ChatMessage]:
    thread = scene.thread("A thread", "one", "two")
    summary = request(thread, sender_role="system", content=summary_content("All", SummaryRange(1, 2)))
    scene.repository.create_message(summary)
    return thread, scene.repository.get_messages(thread.id)[0]


def _outcome(call: Call, scene: Scene, thread: ChatThread, message: ChatMessage, owner: Owner) -> Any:
    """What the call returned or raised, without the ids of this thread."""
    try:
        return call(scene.repository, thread, message, owner)
    except ValueError as error:
        return type(error), str(error).replace(thread.id, "ID").replace(message.id, "ID")
