"""The contract of threads alone: create, read, change, list, delete."""

from __future__ import annotations

from datetime import timedelta

from chatstore_cli.domain.errors import InvalidThreadData
from chatstore_cli.domain.threads.models import CreateChatThreadRequest, new_id
from chatstore_cli.testing.scene import LONG_AGO, MILLISECOND, ContractTests, raises, request

IMPOSSIBLE_IDS = ["", "\0", "\udcff", '{"$gt": ""}', "$where", "a.b", "../x", "0" * 3_000, "🦉", "A" * 36]


class ThreadOnlyContract(ContractTests):
    def test_a_created_thread_is_read_back(self) -> None:
        scene = self.scene()
        created = scene.thread("Travel planning")
        assert (created.user_id, created.org_id, created.name) == (scene.user_id, scene.org_id, "Travel planning")
        assert created.created_at == created.updated_at
        assert created.created_at.utcoffset() == timedelta(0)
        assert created.created_at.microsecond % 1000 == 0
        assert scene.repository.get_thread(created.id) == created

    def test_a_thread_is_read_with_or_without_its_messages(self) -> None:
        scene = self.scene()
        thread = scene.thread("A thread", "one", "two")
        read = scene.repository.get_thread(thread.id)
        assert read is not None
        assert [message.content["text"] for message in read.chat_messages] == ["one", "two"]
        bare = scene.repository.get_thread(thread.id, with_messages=False)
        assert bare is not None
        assert bare == read.model_copy(update={"chat_messages": []})

    def test_a_thread_is_changed(self) -> None:
        scene = self.scene()
        thread = scene.thread("Old", "one")
        changed = scene.repository.update_thread(thread.id, name="New", id="x", created_at=LONG_AGO, unknown=1)
        assert changed is not None
        assert (changed.id, changed.name, changed.created_at) == (thread.id, "New", thread.created_at)
        assert changed.updated_at >= thread.updated_at
        assert changed.chat_messages == []
        assert scene.repository.get_thread(thread.id, with_messages=False) == changed

    def test_a_thread_is_given_to_another_owner(self) -> None:
        scene = self.scene()
        thread = scene.thread()
        scene.repository.update_thread(thread.id, user_id="someone", org_id=f"else-{scene.org_id}")
        assert scene.repository.list_threads(user_id=scene.user_id) == []
        assert [each.id for each in scene.repository.list_threads(org_id=f"else-{scene.org_id}")] == [thread.id]

    def test_a_change_raises_updated_at(self) -> None:
        scene = self.scene()
        old = scene.repository.import_thread(scene.old_thread(), [])
        changed = scene.repository.update_thread(old.id, name="New")
        assert changed is not None
        assert changed.updated_at > old.updated_at

    def test_updated_at_never_goes_back(self) -> None:
        scene = self.scene()
        future = scene.repository.import_thread(scene.old_thread(updated_at=LONG_AGO + timedelta(days=36_500)), [])
        scene.repository.update_thread(future.id, name="New")
        scene.add(future, "one")
        read = scene.repository.get_thread(future.id)
        assert read is not None
        assert read.updated_at == future.updated_at

    def test_names_have_1_to_10_000_characters(self) -> None:
        scene = self.scene()
        longest = "🦉" * 10_000
        thread = scene.thread(longest)
        read = scene.repository.get_thread(thread.id)
        assert read is not None
        assert read.name == longest
        for name in ("", "x" * 10_001, "a\0b"):
            with raises(InvalidThreadData, "name"):
                scene.thread(name)
            with raises(InvalidThreadData, "name"):
                scene.repository.update_thread(thread.id, name=name)
        assert scene.repository.get_thread(thread.id) == read

    def test_owners_are_texts_that_are_not_empty(self) -> None:
        scene = self.scene()
        for user, org, field in (("", "org", "user_id"), ("user", "", "org_id"), ("a\0", "org", "user_id")):
            with raises(InvalidThreadData, field):
                scene.repository.create_thread(CreateChatThreadRequest(user_id=user, org_id=org, name="A thread"))

    def test_a_deleted_thread_leaves_nothing(self) -> None:
        scene = self.scene()
        thread, other = scene.thread("A thread", "one", "two"), scene.thread("Another", "three")
        [first, _] = scene.repository.get_messages(thread.id)
        assert scene.repository.delete_thread(thread.id) is True
        assert scene.repository.delete_thread(thread.id) is False
        assert scene.repository.get_thread(thread.id) is None
        assert scene.repository.get_messages(thread.id) == []
        assert scene.repository.get_message(first.id) is None
        assert scene.repository.delete_message(first.id) is False
        assert [each.id for each in scene.repository.list_threads(scene.user_id)] == [other.id]
        assert scene.texts(other) == ["three"]

    def test_the_message_ids_of_a_deleted_thread_are_free(self) -> None:
        scene = self.scene()
        thread, other = scene.thread(), scene.thread()
        identity = new_id()
        scene.repository.create_message(request(thread, "one", identity))
        scene.repository.delete_thread(thread.id)
        assert scene.repository.create_message(request(other, "two", identity)).id == identity

    def test_threads_are_listed_by_their_last_change(self) -> None:
        scene = self.scene()
        instants = [LONG_AGO, LONG_AGO + 2 * MILLISECOND, LONG_AGO + MILLISECOND]
        first, second, third = (
            scene.repository.import_thread(scene.old_thread(updated_at=instant), []) for instant in instants
        )
        assert [each.id for each in scene.repository.list_threads(scene.user_id)] == [second.id, third.id, first.id]
        scene.add(first, "one")
        listed = scene.repository.list_threads(scene.user_id)
        assert [each.id for each in listed] == [first.id, second.id, third.id]
        assert [each.chat_messages for each in listed] == [[], [], []]

    def test_threads_of_one_instant_are_listed_in_the_descending_order_of_their_ids(self) -> None:
        scene = self.scene()
        for _ in range(12):
            scene.repository.import_thread(scene.old_thread(), [])
        ids = [each.id for each in scene.repository.list_threads(org_id=scene.org_id)]
        assert ids == sorted(ids, reverse=True)
        assert len(ids) == 12
        assert [each.id for each in scene.repository.list_threads(org_id=scene.org_id, limit=5)] == ids[:5]

    def test_a_list_has_the_threads_of_a_user_of_a_tenant_or_of_both(self) -> None:
        scene = self.scene()
        thread = scene.thread()
        scene.repository.create_thread(CreateChatThreadRequest(user_id="someone", org_id=scene.org_id, name="Theirs"))
        listed = scene.repository.list_threads
        assert len(listed(org_id=scene.org_id)) == 2
        assert [each.id for each in listed(user_id=scene.user_id)] == [thread.id]
        assert [each.id for each in listed(scene.user_id, scene.org_id)] == [thread.id]
        assert listed(scene.user_id, "another") == []
        assert listed(scene.user_id, limit=0) == []
        assert thread.id in [each.id for each in listed(limit=100_000)]

    def test_ids_that_nothing_has_are_missing(self) -> None:
        scene = self.scene()
        scene.thread("A thread", "one")
        for identity in IMPOSSIBLE_IDS:
            assert scene.repository.get_thread(identity) is None
            assert scene.repository.update_thread(identity, name="New") is None
            assert scene.repository.delete_thread(identity) is False
            assert scene.repository.get_messages(identity) == []
            assert list(scene.repository.iter_messages(identity)) == []
            assert scene.repository.get_message(identity) is None
            assert scene.repository.delete_message(identity) is False
            assert scene.repository.edit_message(identity, {}) is None
            assert scene.repository.clear_messages(identity) == 0
            assert scene.repository.newest_summary(identity) is None
            assert scene.repository.list_threads(user_id=identity) == []
            assert scene.repository.list_threads(org_id=identity) == []
