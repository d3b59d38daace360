"""The contract of messages: order, identity, windows, summaries."""

from __future__ import annotations

from typing import Any

from chatstore_cli.core.threads.summaries import SummaryRange, summary_content
from chatstore_cli.domain.errors import Conflict, InvalidThreadData, ThreadNotFound
from chatstore_cli.domain.threads.models import CreateChatMessageRequest, new_id
from chatstore_cli.testing.scene import LONG_AGO, ContractTests, old_message, raises, request

LIMITS = (None, 0, 1, 3, 9, 10, 11, -1, -3, -10, -11)
OFFSETS = (0, 1, 9, 10, 11, -1)


class MessageContract(ContractTests):
    def test_messages_have_ascending_sequences(self) -> None:
        scene = self.scene()
        thread = scene.thread()
        added = scene.add(thread, *"abcde")
        assert scene.repository.get_messages(thread.id) == added
        sequences = [message.sequence for message in added]
        assert sequences == sorted(set(sequences))
        assert sequences[0] >= 1

    def test_a_message_has_what_was_passed(self) -> None:
        scene = self.scene()
        thread = scene.thread()
        content = {"type": "text", "text": "Hello", "metadata": {"model": "m"}}
        passed = CreateChatMessageRequest(
            chat_thread_id=thread.id, sender_id="alice", sender_role="assistant", content=content
        )
        message = scene.repository.create_message(passed)
        assert (message.chat_thread_id, message.sender_id, message.sender_role) == (thread.id, "alice", "assistant")
        assert (message.content, message.edits) == (content, [])
        assert message.created_at == message.updated_at >= thread.created_at
        assert scene.repository.get_messages(thread.id) == [message]
        assert scene.repository.get_message(message.id) == message
        read = scene.repository.get_thread(thread.id)
        assert read is not None
        assert read.updated_at >= message.created_at

    def test_messages_of_one_instant_keep_their_order(self) -> None:
        scene = self.scene()
        thread = scene.old_thread()
        texts = [str(number) for number in range(30)]
        scene.repository.import_thread(thread, [old_message(thread, text) for text in texts])
        assert scene.texts(thread) == texts

    def test_a_thread_that_does_not_exist_takes_no_message(self) -> None:
        scene = self.scene()
        missing = scene.old_thread()
        with raises(ThreadNotFound, f"Thread {missing.id} does not exist"):
            scene.repository.create_message(request(missing))
        with raises(ValueError):  # fluxibly's error
            scene.repository.create_messages([request(missing)])
        assert scene.repository.get_messages(missing.id) == []

    def test_a_repeated_message_is_stored_once(self) -> None:
        scene = self.scene()
        thread = scene.thread("A thread", "before")
        passed = request(thread, "one", new_id(), sender_id="alice")
        first = scene.repository.create_message(passed)
        scene.add(thread, "two")
        assert scene.repository.create_message(passed) == first
        assert scene.texts(thread) == ["before", "one", "two"]

    def test_one_id_has_one_message(self) -> None:
        scene = self.scene()
        thread, other = scene.thread(), scene.thread()
        identity = new_id()
        stored = scene.repository.create_message(request(thread, message_id=identity, content={"n": 1}))
        others = [
            request(thread, message_id=identity, content={"n": 2}),
            request(thread, message_id=identity, content={"n": 1.0}),
            request(thread, message_id=identity, content={"n": True}),
            request(thread, message_id=identity, content={"n": 1}, sender_role="assistant"),
            request(thread, message_id=identity, content={"n": 1}, sender_id="alice"),
            request(other, message_id=identity, content={"n": 1}),
        ]
        for each in others:
            with raises(Conflict, identity):
                scene.repository.create_message(each)
        assert scene.repository.get_messages(thread.id) == [stored]
        assert scene.repository.get_messages(other.id) == []

    def test_message_ids_have_1_to_200_characters(self) -> None:
        scene = self.scene()
        thread = scene.thread()
        longest = (new_id() * 6)[:200]
        assert scene.repository.create_message(request(thread, message_id=longest)).id == longest
        for identity in ("", "x" * 201, "a\0b"):
            with raises(InvalidThreadData, "message_id"):
                scene.repository.create_message(request(thread, message_id=identity))
        assert len(scene.repository.get_messages(thread.id)) == 1

    def test_hostile_message_ids_are_ids(self) -> None:
        scene = self.scene()
        thread = scene.thread()
        for start in ('{"$gt": ""}', "$where", "a.b", "../x", "🦉", "é", "e\u0301", " ", "\n", "\u2028"):
            identity = f"{start}{new_id()}"
            message = scene.repository.create_message(request(thread, message_id=identity))
            assert scene.repository.get_message(identity) == message
            assert scene.repository.get_message(identity.upper()) is None

    def test_messages_are_added_together(self) -> None:
        scene = self.scene()
        thread = scene.thread("A thread", "before")
        texts = [str(number) for number in range(50)]
        added = scene.repository.create_messages([request(thread, text) for text in texts])
        assert [message.content["text"] for message in added] == texts
        assert scene.repository.get_messages(thread.id)[1:] == added
        assert scene.repository.create_messages([]) == []

    def test_a_repetition_completes_what_was_stored_in_part(self) -> None:
        scene = self.scene()
        thread = scene.thread()
        whole = [request(thread, str(number), new_id()) for number in range(5)]
        first = scene.repository.create_messages(whole[:3])
        assert scene.repository.create_messages(whole)[:3] == first
        assert scene.texts(thread) == ["0", "1", "2", "3", "4"]

    def test_a_conflict_among_several_messages_stores_none_after_it(self) -> None:
        scene = self.scene()
        thread = scene.thread("A thread", "before")
        taken = new_id()
        scene.repository.create_message(request(thread, "taken", taken))
        ids = [new_id(), taken, new_id()]
        with raises(Conflict, taken):
            scene.repository.create_messages([request(thread, str(n), each) for n, each in enumerate(ids)])
        assert scene.texts(thread) in (["before", "taken"], ["before", "taken", "0"])

    def test_wrong_messages_together_store_nothing(self) -> None:
        scene = self.scene()
        thread, other = scene.thread(), scene.thread()
        twice = new_id()
        wrong = [
            [request(thread), request(other)],
            [request(thread, "one", twice), request(thread, "one", twice)],
            [request(thread), request(thread, content={"n": float("nan")})],
            [request(thread)] * 1_001,
        ]
        for requests in wrong:
            with raises(InvalidThreadData):
                scene.repository.create_messages(requests)
        assert scene.texts(thread) == scene.texts(other) == []

    def test_windows(self) -> None:
        scene = self.scene()
        thread = scene.thread("A thread", *"0123456789")
        texts = list("0123456789")
        for limit in LIMITS:
            for offset in OFFSETS:
                skipped = max(0, offset)
                oldest = texts[skipped:][:limit]
                rest = texts[: len(texts) - skipped] if skipped < len(texts) else []
                newest = [] if limit == 0 else rest if limit is None else rest[-limit:]
                window: dict[str, Any] = {"limit": limit, "offset": offset}
                assert scene.texts(thread, **window) == oldest, window
                assert scene.texts(thread, **window, newest=True) == newest, window

    def test_numbers_of_any_size_are_limits(self) -> None:
        scene = self.scene()
        thread = scene.thread("A thread", "one", "two")
        for number in (2**31, 2**63, 2**70):
            for newest in (False, True):
                assert scene.texts(thread, limit=number, newest=newest) == ["one", "two"]
                assert scene.texts(thread, limit=number, offset=1, newest=newest) == ["one" if newest else "two"]
                assert scene.texts(thread, limit=-number, newest=newest) == []
                assert scene.texts(thread, offset=number, newest=newest) == []
            assert len(list(scene.repository.iter_messages(thread.id, after_sequence=-number, last=number))) == 2
            assert list(scene.repository.iter_messages(thread.id, after_sequence=number)) == []
            assert len(scene.repository.list_threads(scene.user_id, limit=number)) == 1
            assert scene.repository.list_threads(scene.user_id, limit=-number) == []
        assert scene.texts(scene.repository.fork_thread(thread.id, at_sequence=2**70)) == ["one", "two"]

    def test_messages_are_streamed(self) -> None:
        scene = self.scene()
        thread = scene.thread("A thread", *"abcde")
        messages = scene.repository.get_messages(thread.id)
        stream = scene.repository.iter_messages
        assert list(stream(thread.id)) == messages
        assert list(stream(thread.id, after_sequence=messages[1].sequence)) == messages[2:]
        assert list(stream(thread.id, last=2)) == messages[3:]
        assert list(stream(thread.id, after_sequence=messages[1].sequence, last=9)) == messages[2:]
        assert list(stream(thread.id, last=0)) == []
        assert list(stream(thread.id, after_sequence=messages[-1].sequence)) == []

    def test_a_cleared_thread_remains(self) -> None:
        scene = self.scene()
        thread, other = scene.old_thread(), scene.thread("Another", "theirs")
        scene.repository.import_thread(thread, [old_message(thread, "one"), old_message(thread, "two")])
        assert scene.repository.clear_messages(thread.id) == 2
        assert scene.repository.clear_messages(thread.id) == 0
        read = scene.repository.get_thread(thread.id)
        assert read is not None
        assert (read.updated_at, read.chat_messages) == (LONG_AGO, [])
        assert scene.texts(other) == ["theirs"]
        scene.add(thread, "three")
        assert scene.texts(thread) == ["three"]

    def test_the_newest_summary_is_found(self) -> None:
        scene = self.scene()
        thread = scene.thread("A thread", "one")
        assert scene.repository.newest_summary(thread.id) is None
        named = summary_content("All", SummaryRange(1, 1))
        scene.repository.create_message(request(thread, content=named))  # of the user, so not a summary
        others: list[Any] = [None, {}, {"summary": "text"}, {"summary": {}}, {"summary": {"to_sequence": True}}]
        for metadata in others:
            content = {"type": "text", "text": "Be brief", "metadata": metadata}
            scene.repository.create_message(request(thread, sender_role="system", content=content))
        assert scene.repository.newest_summary(thread.id) is None
        for end in (1, 2):
            content = summary_content(f"Up to {end}", SummaryRange(1, end))
            scene.repository.create_message(request(thread, sender_role="system", content=content))
        scene.add(thread, "after")
        newest = scene.repository.newest_summary(thread.id)
        assert newest is not None
        assert newest.content["text"] == "Up to 2"
