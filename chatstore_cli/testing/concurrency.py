"""The contract of several operating system threads at work at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

from chatstore_cli.domain.errors import Conflict, ThreadNotFound
from chatstore_cli.domain.threads.models import ChatMessage, new_id
from chatstore_cli.testing.scene import ContractTests, request

WORKERS, EACH = 4, 12


def at_once(calls: Sequence[Callable[[], object]]) -> list[object]:
    """What the calls return or raise, each made by a thread of its own, after all of these have started."""
    ready = Barrier(len(calls))

    def run(call: Callable[[], object]) -> object:
        ready.wait(60)
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - what it raised is the result
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(run, call) for call in calls]]


class ConcurrencyContract(ContractTests):
    def test_writers_of_one_thread_keep_their_own_order(self) -> None:
        scene = self.scene()
        thread = scene.thread()

        def write(writer: int) -> list[ChatMessage]:
            single = [scene.repository.create_message(request(thread, f"{writer}:{n}")) for n in range(EACH // 2)]
            rest = [request(thread, f"{writer}:{n}") for n in range(EACH // 2, EACH)]
            return single + scene.repository.create_messages(rest)

        results = at_once([partial(write, writer) for writer in range(WORKERS)])
        assert [each for each in results if isinstance(each, Exception)] == []
        messages = scene.repository.get_messages(thread.id)
        assert len({message.sequence for message in messages}) == len(messages) == WORKERS * EACH
        texts = [message.content["text"] for message in messages]
        for writer in range(WORKERS):
            own = [text for text in texts if text.startswith(f"{writer}:")]
            assert own == [f"{writer}:{number}" for number in range(EACH)]

    def test_one_message_that_several_add_is_stored_once(self) -> None:
        scene = self.scene()
        thread = scene.thread()
        passed = request(thread, "one", new_id())
        results = at_once([lambda: scene.repository.create_message(passed)] * WORKERS)
        assert results == scene.repository.get_messages(thread.id) * WORKERS

    def test_of_several_messages_of_one_id_one_is_stored(self) -> None:
        scene = self.scene()
        thread = scene.thread()
        identity = new_id()
        results = at_once(
            [partial(scene.repository.create_message, request(thread, text, identity)) for text in "abcd"]
        )
        [stored] = scene.repository.get_messages(thread.id)
        assert results.count(stored) == 1
        assert sum(isinstance(each, Conflict) for each in results) == 3

    def test_a_thread_that_is_deleted_meanwhile_leaves_no_messages(self) -> None:
        scene = self.scene()
        thread = scene.thread("A thread", "one")

        def write() -> None:
            for number in range(1_000):
                scene.repository.create_message(request(thread, str(number)))

        results = at_once([write, write, lambda: scene.repository.delete_thread(thread.id)])
        assert [type(each) for each in results] == [ThreadNotFound, ThreadNotFound, bool]
        assert scene.repository.get_messages(thread.id) == []
        assert scene.repository.get_thread(thread.id) is None

    def test_edits_at_once_lose_no_content(self) -> None:
        scene = self.scene()
        [message] = scene.add(scene.thread(), "0")
        results = at_once([partial(scene.repository.edit_message, message.id, {"n": n}) for n in range(WORKERS)])
        assert [each for each in results if isinstance(each, Exception)] == []
        read = scene.repository.get_message(message.id)
        assert read is not None
        numbers = [edit.content["n"] for edit in read.edits[1:]] + [read.content["n"]]
        assert sorted(numbers) == list(range(WORKERS))
