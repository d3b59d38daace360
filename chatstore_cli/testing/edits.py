"""The contract of edits and of the deletion of one message."""

from __future__ import annotations

from chatstore_cli.domain.errors import InvalidThreadData
from chatstore_cli.testing.scene import LONG_AGO, ContractTests, old_message, raises, request

MEBIBYTE = 1 << 20


class EditContract(ContractTests):
    def test_an_edit_keeps_the_former_content(self) -> None:
        scene = self.scene()
        thread = scene.old_thread()
        messages = [old_message(thread, text) for text in ("one", "two", "three")]
        scene.repository.import_thread(thread, messages)
        before = scene.repository.get_messages(thread.id)[1]
        edited = scene.repository.edit_message(before.id, {"type": "text", "text": "new", "metadata": {"a": 1}})
        assert edited is not None
        assert edited.content == {"type": "text", "text": "new", "metadata": {"a": 1}}
        assert edited.updated_at > before.updated_at
        [edit] = edited.edits
        assert (edit.content, edit.edited_at) == (before.content, edited.updated_at)
        same = {"id", "chat_thread_id", "sender_id", "sender_role", "created_at", "sequence"}
        assert edited.model_dump(include=same) == before.model_dump(include=same)
        assert scene.repository.get_message(before.id) == edited
        assert scene.texts(thread) == ["one", "new", "three"]
        read = scene.repository.get_thread(thread.id, with_messages=False)
        assert read is not None
        assert read.updated_at > LONG_AGO

    def test_the_newest_20_former_contents_are_kept(self) -> None:
        scene = self.scene()
        [message] = scene.add(scene.thread(), "0")
        for number in range(1, 24):
            edited = scene.repository.edit_message(message.id, {"n": number})
        assert edited is not None
        assert [edit.content for edit in edited.edits] == [{"n": number} for number in range(3, 23)]
        assert scene.repository.get_message(message.id) == edited

    def test_an_edit_to_the_present_content_changes_nothing(self) -> None:
        scene = self.scene()
        thread = scene.old_thread()
        scene.repository.import_thread(thread, [old_message(thread, "one", content={"n": 1})])
        [message] = scene.repository.get_messages(thread.id)
        before = scene.repository.get_thread(thread.id)
        assert scene.repository.edit_message(message.id, {"n": 1}) == message
        assert scene.repository.get_thread(thread.id) == before
        for other in (1.0, True):
            scene.repository.edit_message(message.id, {"n": other})
        read = scene.repository.get_message(message.id)
        assert read is not None
        assert (str(read.content), [str(edit.content) for edit in read.edits]) == (
            "{'n': True}",
            ["{'n': 1}", "{'n': 1.0}"],
        )

    def test_a_message_that_was_edited_since_is_still_a_repetition(self) -> None:
        scene = self.scene()
        thread = scene.thread()
        passed = request(thread, "one", f"edited-{thread.id}")
        message = scene.repository.create_message(passed)
        edited = scene.repository.edit_message(message.id, {"text": "two"})
        assert scene.repository.create_message(passed) == edited
        assert len(scene.repository.get_messages(thread.id)) == 1

    def test_a_wrong_content_changes_nothing(self) -> None:
        scene = self.scene()
        [message] = scene.add(scene.thread(), "one")
        with raises(InvalidThreadData, "content.when[1]"):
            scene.repository.edit_message(message.id, {"when": [1, float("inf")]})
        assert scene.repository.get_message(message.id) == message

    def test_large_former_contents_leave_so_that_the_message_fits(self) -> None:
        scene = self.scene()
        [message] = scene.add(scene.thread(), "one")
        for letter in "abc":
            edited = scene.repository.edit_message(message.id, {"text": letter * 5 * MEBIBYTE})
        assert edited is not None
        assert [edit.content["text"][0] for edit in edited.edits] == ["b"]
        with raises(InvalidThreadData, "former content"):
            scene.repository.edit_message(message.id, {"text": "d" * 11 * MEBIBYTE})
        read = scene.repository.get_message(message.id)
        assert read == edited

    def test_one_message_is_deleted(self) -> None:
        scene = self.scene()
        thread = scene.old_thread()
        scene.repository.import_thread(thread, [old_message(thread, text) for text in "abc"])
        first, second, third = scene.repository.get_messages(thread.id)
        assert scene.repository.delete_message(second.id) is True
        assert scene.repository.delete_message(second.id) is False
        assert scene.repository.get_message(second.id) is None
        assert scene.repository.get_messages(thread.id) == [first, third]
        read = scene.repository.get_thread(thread.id, with_messages=False)
        assert read is not None
        assert read.updated_at > LONG_AGO
        [added] = scene.add(thread, "d")
        assert added.sequence > third.sequence

    def test_after_the_last_message_was_deleted_the_next_one_is_the_last(self) -> None:
        scene = self.scene()
        thread = scene.thread("A thread", "one", "two")
        last = scene.repository.get_messages(thread.id)[-1]
        scene.repository.delete_message(last.id)
        scene.add(thread, "three", "four")
        assert scene.texts(thread) == ["one", "three", "four"]
