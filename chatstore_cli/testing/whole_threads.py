"""The contract of forks and imports: a thread appears with all its messages, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from chatstore_cli.domain.errors import Conflict, InvalidThreadData, ThreadNotFound
from chatstore_cli.domain.threads.models import ChatMessage, Edit, ForkedFrom
from chatstore_cli.testing.scene import LONG_AGO, ContractTests, old_message, raises


class WholeThreadContract(ContractTests):
    def test_a_fork_is_a_copy_under_new_ids(self) -> None:
        scene = self.scene()
        parent = scene.thread("Parent", *"abcd")
        messages = scene.repository.get_messages(parent.id)
        edited = scene.repository.edit_message(messages[1].id, {"type": "text", "text": "B"})
        assert edited is not None
        messages[1] = edited
        before = scene.repository.get_thread(parent.id)
        fork = scene.repository.fork_thread(parent.id, at_sequence=messages[2].sequence, name="Fork")
        assert fork.forked_from == ForkedFrom(thread_id=parent.id, sequence=messages[2].sequence)
        assert (fork.user_id, fork.org_id, fork.name) == (scene.user_id, scene.org_id, "Fork")
        copies = scene.repository.get_messages(fork.id)
        assert [_without_ids(copy) for copy in copies] == [_without_ids(message) for message in messages[:3]]
        ids = {each.id for each in [*copies, *messages]}
        assert len(ids) == 7
        assert scene.repository.get_thread(fork.id, with_messages=False) == fork
        assert scene.repository.get_thread(parent.id) == before

    def test_a_fork_without_a_message_is_a_copy_of_all(self) -> None:
        scene = self.scene()
        parent = scene.thread("Parent", *"abc")
        fork = scene.repository.fork_thread(parent.id)
        assert (fork.name, scene.texts(fork)) == ("Parent", ["a", "b", "c"])
        assert fork.forked_from is not None
        assert fork.forked_from.sequence == scene.repository.get_messages(parent.id)[-1].sequence
        empty = scene.repository.fork_thread(scene.thread("Empty").id)
        assert scene.texts(empty) == []
        scene.add(empty, "one")
        assert scene.texts(empty) == ["one"]

    def test_a_fork_and_its_parent_go_their_own_ways(self) -> None:
        scene = self.scene()
        parent = scene.thread("Parent", *"ab")
        fork = scene.repository.fork_thread(parent.id)
        scene.add(fork, "fork")
        scene.add(parent, "parent")
        scene.repository.delete_message(scene.repository.get_messages(parent.id)[0].id)
        assert scene.texts(fork) == ["a", "b", "fork"]
        scene.repository.delete_thread(parent.id)
        assert scene.texts(fork) == ["a", "b", "fork"]
        second = scene.repository.fork_thread(fork.id)
        scene.repository.delete_thread(fork.id)
        assert scene.texts(second) == ["a", "b", "fork"]

    def test_a_thread_that_does_not_exist_cannot_be_forked(self) -> None:
        scene = self.scene()
        with raises(ThreadNotFound, "does not exist"):
            scene.repository.fork_thread(scene.old_thread().id)
        parent = scene.thread()
        with raises(InvalidThreadData, "name"):
            scene.repository.fork_thread(parent.id, name="")
        assert [each.id for each in scene.repository.list_threads(scene.user_id)] == [parent.id]

    def test_an_imported_thread_is_as_it_was(self) -> None:
        scene = self.scene()
        thread = scene.old_thread().model_copy(
            update={"name": "", "forked_from": ForkedFrom(thread_id="gone", sequence=3)}
        )
        edits = [Edit(content={"n": 1}, edited_at=LONG_AGO)]
        messages = [
            old_message(thread, "one", 3, sender_id="alice", edits=edits),
            old_message(thread, "two", 7, sender_role="critic", sender_id=""),
        ]
        assert scene.repository.import_thread(thread, iter(messages)) == thread
        assert scene.repository.get_thread(thread.id) == thread.model_copy(update={"chat_messages": messages})
        [added] = scene.add(thread, "three")
        assert added.sequence > 7

    def test_a_dump_of_the_documented_library_is_imported(self) -> None:
        scene = self.scene()
        naive = datetime(2026, 1, 2, 3, 4, 5, 678_901)  # noqa: DTZ001 - the documented library writes such times
        thread = scene.old_thread().model_copy(update={"created_at": naive, "updated_at": naive})
        messages = [old_message(thread, text, created_at=naive) for text in "cab"]
        scene.repository.import_thread(thread, messages)
        read = scene.repository.get_thread(thread.id)
        assert read is not None
        assert read.created_at == read.updated_at == read.chat_messages[0].created_at == LONG_AGO
        assert read.created_at.utcoffset() == timedelta(0)
        assert scene.texts(thread) == ["c", "a", "b"]

    def test_a_thread_that_exists_is_a_conflict(self) -> None:
        scene = self.scene()
        existing = scene.thread("A thread", "one")
        before = scene.repository.get_thread(existing.id)
        for messages in ([], [old_message(existing, "two")]):
            with raises(Conflict, existing.id):
                scene.repository.import_thread(scene.old_thread(existing.id), messages)
        assert scene.repository.get_thread(existing.id) == before

    def test_a_message_that_exists_is_a_conflict(self) -> None:
        scene = self.scene()
        existing = scene.thread("A thread", "one")
        [taken] = scene.repository.get_messages(existing.id)
        thread = scene.old_thread()
        messages = [old_message(thread, "first"), old_message(thread, "one", id=taken.id)]
        with raises(Conflict, taken.id):
            scene.repository.import_thread(thread, messages)
        assert scene.repository.get_thread(thread.id) is None
        assert scene.repository.get_messages(existing.id) == [taken]

    def test_an_import_that_stopped_shows_nothing_and_is_completed_by_a_repetition(self) -> None:
        scene = self.scene()
        thread = scene.old_thread()
        messages = [old_message(thread, str(number), number + 1) for number in range(5)]

        def stopping() -> Iterator[ChatMessage]:
            yield from messages[:3]
            raise RuntimeError("stopped")

        with raises(RuntimeError, "stopped"):
            scene.repository.import_thread(thread, stopping())
        assert scene.repository.get_thread(thread.id) is None
        assert scene.repository.get_messages(thread.id) == []
        assert scene.repository.get_message(messages[0].id) is None
        assert scene.repository.list_threads(scene.user_id) == []
        scene.repository.import_thread(thread, messages)
        assert scene.repository.get_messages(thread.id) == messages

    def test_a_wrong_value_is_not_imported(self) -> None:
        scene = self.scene()
        thread = scene.old_thread()
        large = "x" * (8 << 20)
        wrong = [
            [old_message(thread, "one", content={"n": float("nan")})],
            [old_message(thread, "one", id="")],
            [old_message(thread, "a\0b")],
            [old_message(thread, "one", sequence=2**63)],
            [old_message(thread, "one", edits=[Edit(content={"n": float("nan")}, edited_at=LONG_AGO)])],
            [old_message(thread, large, edits=[Edit(content={"text": large}, edited_at=LONG_AGO)])],
        ]
        for messages in wrong:
            with raises(InvalidThreadData):
                scene.repository.import_thread(thread, messages)
        for changes in ({"id": ""}, {"user_id": "x" * 10_001}, {"org_id": "\0"}, {"name": "x" * 10_001}):
            with raises(InvalidThreadData):
                scene.repository.import_thread(thread.model_copy(update=changes), [])
        assert scene.repository.list_threads(scene.user_id) == []


def _without_ids(message: ChatMessage) -> dict[str, object]:
    return message.model_dump(exclude={"id", "chat_thread_id"})
