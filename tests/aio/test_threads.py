"""Threads in an event loop: order, the current thread, cancelled calls, and what stops the loop."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from chatstore_cli import threads as synchronous
from chatstore_cli.aio import thread_repositories
from chatstore_cli.aio import threads as aio
from chatstore_cli.aio.threads import ConversationHistory, MockConversationRepository, StateManager
from chatstore_cli.core.threads.history import ConversationHistory as SynchronousHistory
from chatstore_cli.core.threads.manager import StateManager as SynchronousManager
from chatstore_cli.core.threads.memory import MockConversationRepository as SynchronousMock
from chatstore_cli.domain.errors import BadValue, InvalidThreadData, NoActiveThread, ThreadNotFound
from chatstore_cli.domain.threads.models import ChatMessage, CreateChatMessageRequest, CreateChatThreadRequest, Message


def texts(messages: Sequence[ChatMessage | Message]) -> list[str]:
    return [message.content if isinstance(message, Message) else message.content["text"] for message in messages]


class HeldRepository(SynchronousMock):
    """Keeps threads in memory. A message with the text `held` is stored once the test releases it."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.released = threading.Event(), threading.Event()

    def create_messages(self, requests: Sequence[CreateChatMessageRequest], **owner: Any) -> list[ChatMessage]:
        if requests[0].content.get("text") == "held":
            self.entered.set()
            assert self.released.wait(60)
        return super().create_messages(requests, **owner)


async def until(event: threading.Event) -> None:
    """Let the loop run until the event is set in another thread."""
    while not event.is_set():
        await asyncio.sleep(0)


# --- names and parameters --------------------------------------------------------------------------------------------

PAIRS = [
    (SynchronousManager(), StateManager()),
    (SynchronousHistory(), ConversationHistory()),
    (SynchronousMock(), MockConversationRepository()),
    (synchronous.MongoConversationRepository("mongomock://"), aio.MongoConversationRepository("mongomock://")),
    (
        synchronous.PostgreSQLConversationRepository("postgresql://h/d"),
        aio.PostgreSQLConversationRepository("postgresql://h/d"),
    ),
]
IDS = ["manager", "history", "mock", "mongo", "postgres"]


def public_names(thing: object) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}


@pytest.mark.parametrize(("original", "face"), PAIRS, ids=IDS)
def test_no_public_name_was_forgotten(original: object, face: object) -> None:
    own = {"synchronous", "add" if isinstance(face, ConversationHistory) else "close"}
    assert public_names(face) - own == public_names(original) - {"close"}


@pytest.mark.parametrize(("original", "face"), PAIRS, ids=IDS)
def test_every_method_has_the_parameters_of_the_synchronous_one(original: object, face: object) -> None:
    methods = [name for name in public_names(original) if inspect.ismethod(getattr(original, name))]
    assert methods
    for name in methods:
        both = [inspect.signature(getattr(thing, name)).parameters.values() for thing in (original, face)]
        expected, actual = [[(each.name, each.kind, each.default) for each in parameters] for parameters in both]
        assert actual == expected, name


def test_the_documented_methods_are_awaitable() -> None:
    async def main() -> None:
        manager = StateManager()
        await manager.create_thread("A thread")
        history = ConversationHistory(state_manager=manager)
        wanted: dict[str, tuple[Any, ...]] = {"create_thread": ("B",), "add_message": ("user", "Hello")}
        for name in ("get_thread", "set_current_thread"):
            wanted[name] = (manager.current_thread_id,)
        for name in ("get_current_thread", "list_threads", "get_messages", "load_conversation_history", "clear_thread"):
            wanted[name] = ()
        calls = [getattr(manager, name)(*arguments) for name, arguments in wanted.items()]
        calls += [history.load_from_db(), manager.delete_thread()]
        assert all(inspect.iscoroutine(call) for call in calls)
        assert all(asyncio.iscoroutinefunction(getattr(manager, name)) for name in (*wanted, "summarize"))
        assert all(asyncio.iscoroutinefunction(each) for each in (history.add, manager.repository.close))
        assert not asyncio.iscoroutinefunction(history.add_user_message)
        assert (await asyncio.gather(*calls))[-1] is True

    asyncio.run(main())


# --- order and the current thread ------------------------------------------------------------------------------------


def test_calls_of_a_manager_are_made_one_at_a_time_in_their_order() -> None:
    async def main() -> list[str]:
        manager = StateManager()
        await manager.create_thread("Order")
        tasks = [asyncio.create_task(manager.add_message("user", str(number))) for number in range(200)]
        last = await manager.add_message("user", "last")
        assert last.sequence == 201
        await asyncio.gather(*tasks)
        return texts(await manager.get_messages())

    assert asyncio.run(main()) == [*map(str, range(200)), "last"]


def test_a_message_belongs_to_the_thread_that_is_current_when_the_method_is_called() -> None:
    async def main() -> None:
        repository = HeldRepository()
        manager = StateManager(repository)
        first = await manager.create_thread("First")
        second = await manager.create_thread("Second")
        await manager.set_current_thread(first.id)
        held = asyncio.create_task(manager.add_message("user", "held"))
        await until(repository.entered)
        waiting = asyncio.create_task(manager.add_message("user", "waiting"))  # the task has not even started
        switch = manager.set_current_thread(second.id)
        not_switched_yet = manager.add_message("user", "not switched yet")
        repository.released.set()
        await switch
        await manager.add_message("user", "switched")
        await asyncio.gather(held, waiting, not_switched_yet)
        assert texts(await manager.get_messages(first.id)) == ["held", "waiting", "not switched yet"]
        assert texts(await manager.get_messages(second.id)) == ["switched"]

    asyncio.run(main())


def test_every_method_for_the_current_thread_takes_the_one_of_its_call() -> None:
    async def main() -> None:
        manager = StateManager()
        first = await manager.create_thread("First")
        await manager.add_messages([{"role": "user", "content": "one"}, {"role": "user", "content": "two"}])
        calls = [
            manager.get_messages(),
            manager.load_conversation_history(),
            manager.export_thread(),
            manager.rename_thread("Renamed"),
            manager.update_thread(org_id="acme"),
            manager.fork_thread(),
            manager.summarize(lambda messages: f"{len(messages)} messages", keep_last=0),
            manager.get_current_thread(),
        ]
        streamed = manager.iter_messages()
        await manager.create_thread("Second")
        read, history, exported, renamed, updated, fork, summary, current = await asyncio.gather(*calls)
        assert texts(read) == texts(history) == ["one", "two"]
        assert first.id in exported
        assert (renamed.id, renamed.name, updated.org_id) == (first.id, "Renamed", "acme")
        assert fork.forked_from.thread_id == summary.chat_thread_id == current.id == first.id
        assert texts([message async for message in streamed]) == ["one", "two", "2 messages"]
        await manager.set_current_thread(first.id)
        clearing, deleting = manager.clear_thread(), manager.delete_thread()
        await manager.create_thread("Third")
        assert (await clearing, await deleting) == (3, True)
        assert manager.current_thread_id is not None

    asyncio.run(main())


def test_without_a_current_thread_at_the_call_a_thread_of_a_later_moment_is_not_taken() -> None:
    async def main() -> None:
        manager = StateManager()
        created = asyncio.create_task(manager.create_thread("Not yet"))
        too_early = manager.add_message("user", "Hello")
        also = manager.iter_messages()
        assert await manager.get_current_thread() is None
        await created
        with pytest.raises(NoActiveThread, match=r"^No active thread\. Create or set a thread first\.$"):
            await too_early
        with pytest.raises(NoActiveThread):
            await anext(also)
        assert await manager.get_messages() == []

    asyncio.run(main())


def test_errors_pass_unchanged() -> None:
    async def main() -> None:
        manager = StateManager(user_id="ada")
        with pytest.raises(ThreadNotFound, match=r"^Thread X not found$") as not_found:
            await manager.set_current_thread("X")
        assert isinstance(not_found.value, ValueError)
        with pytest.raises(ValueError, match=r"^Thread X does not exist$"):
            await manager.add_message("user", "Hello", thread_id="X")
        await manager.create_thread("A thread")
        with pytest.raises(InvalidThreadData, match="sender_role"):
            await manager.add_message("wizard", "Hello")
        with pytest.raises(InvalidThreadData, match="user_id"):
            await manager.create_thread("Not ada's", user_id="bob")
        with pytest.raises(TypeError, match="content"):
            manager.add_message("user")

    asyncio.run(main())


def test_the_current_thread_ends_with_its_deletion_and_not_with_another() -> None:
    async def main() -> None:
        manager = StateManager()
        first = await manager.create_thread("First")
        second = await manager.create_thread("Second")
        assert await manager.delete_thread(first.id)
        assert manager.current_thread_id == second.id
        assert not await manager.delete_thread("missing")
        assert manager.current_thread_id == second.id
        assert await manager.delete_thread()
        assert manager.current_thread_id is None
        with pytest.raises(NoActiveThread):
            await manager.get_messages()

    asyncio.run(main())


def test_the_managers_of_a_repository_share_their_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_repositories, "_MANAGERS_AT_A_TIME", 2)

    async def main() -> None:
        repository = HeldRepository()
        shared = aio.ConversationRepository(repository)
        managers = [StateManager(shared) for _ in range(8)]
        for manager in managers:
            await manager.create_thread("Shared")
        tasks = [
            asyncio.create_task(manager.add_message("user", text)) for text in ("held", "b") for manager in managers
        ]
        await until(repository.entered)
        assert shared._manager_threads._running == 2
        repository.released.set()
        await asyncio.gather(*tasks)
        for manager in managers:
            assert texts(await manager.get_messages()) == ["held", "b"]

    asyncio.run(main())


def test_a_cancelled_switch_does_not_switch_later() -> None:
    async def main() -> None:
        manager = StateManager()
        first = await manager.create_thread("First")
        second = await manager.create_thread("Second")
        calls = [manager.set_current_thread(first.id), manager.create_thread("Third"), manager.delete_thread()]
        tasks = [asyncio.create_task(call) for call in calls]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert {thread.name for thread in await manager.list_threads()} == {"First", "Third"}
        assert manager.current_thread_id == second.id

    asyncio.run(main())


# --- cancelled calls -------------------------------------------------------------------------------------------------


def test_a_message_whose_await_was_cancelled_may_be_stored_nevertheless() -> None:
    async def main() -> None:
        repository = HeldRepository()
        manager = StateManager(repository)
        await manager.create_thread("Cancelled")
        running = asyncio.create_task(manager.add_message("user", "held", message_id="m-1"))
        waiting = asyncio.create_task(manager.add_message("user", "waiting"))
        await until(repository.entered)
        await asyncio.sleep(0)
        for task in (running, waiting):
            task.cancel()
        await asyncio.wait([running, waiting])
        assert running.cancelled()
        assert waiting.cancelled()
        repository.released.set()
        # The call that was running ended; the one that was waiting was not made.
        assert texts(await manager.get_messages()) == ["held"]
        again = await manager.add_message("user", "held", message_id="m-1")
        assert again.sequence == 1
        assert len(await manager.get_messages()) == 1

    asyncio.run(main())


def test_a_cancelled_summary_stores_nothing_and_the_manager_continues() -> None:
    async def main() -> None:
        manager = StateManager()
        await manager.create_thread("Summary")
        await manager.add_message("user", "Hello")
        asked, never = asyncio.Event(), asyncio.Event()

        async def model(_: list[Message]) -> str:
            asked.set()
            await never.wait()
            return "never"

        task = asyncio.create_task(manager.summarize(model, keep_last=0))
        await asked.wait()
        await manager.add_message("assistant", "Other calls do not wait for the model.")
        task.cancel()
        await asyncio.wait([task])
        assert len(await manager.get_messages()) == 2

    asyncio.run(main())


def test_summaries_of_plain_and_async_functions() -> None:
    async def model(messages: list[Message]) -> str:
        await asyncio.sleep(0)
        return f"{len(messages)} in the loop"

    entered, other_call_was_made = threading.Event(), threading.Event()

    def function(messages: list[Message]) -> str:
        assert threading.current_thread() is not threading.main_thread()
        entered.set()
        assert other_call_was_made.wait(60)
        return f"{len(messages)} elsewhere"

    async def main() -> None:
        manager = StateManager()
        await manager.create_thread("Summary")
        assert await manager.summarize(model) is None
        for number in range(4):
            await manager.add_message("user", str(number))
        await manager.summarize(model, keep_last=2)
        summary = asyncio.create_task(manager.summarize(function, keep_last=0))
        await until(entered)
        assert len(await manager.get_messages()) == 5
        other_call_was_made.set()
        await summary
        assert texts(await manager.load_conversation_history(summary=True)) == ["3 elsewhere"]
        with pytest.raises(ThreadNotFound):
            await manager.summarize(model, thread_id="X")

    asyncio.run(main())


# --- streams ---------------------------------------------------------------------------------------------------------


def test_messages_are_streamed_and_the_stream_is_closed_where_it_is_left() -> None:
    closed: list[threading.Thread] = []

    class Streaming(SynchronousMock):
        def iter_messages(self, thread_id: str, **settings: Any) -> Iterator[ChatMessage]:
            try:
                yield from super().iter_messages(thread_id, **settings)
            finally:
                closed.append(threading.current_thread())

    async def main() -> None:
        manager = StateManager(Streaming())
        await manager.create_thread("Stream")
        await manager.add_messages([{"role": "user", "content": str(number)} for number in range(103)])
        assert texts([each async for each in manager.iter_messages()]) == [str(number) for number in range(103)]
        assert texts([each async for each in manager.iter_messages(after_sequence=100)]) == ["100", "101", "102"]
        assert [each async for each in manager.iter_messages("missing")] == []
        closed.clear()
        stream = manager.iter_messages()
        async for message in stream:
            assert message.content["text"] == "0"
            break
        await stream.aclose()
        assert len(closed) == 1
        assert closed[0] is not threading.main_thread()

    asyncio.run(main())


# --- the history -----------------------------------------------------------------------------------------------------


def test_synchronous_and_awaited_messages_are_stored_in_the_order_of_the_calls() -> None:
    async def main() -> None:
        manager = StateManager(user_id="alice")
        await manager.create_thread("History")
        history = ConversationHistory(state_manager=manager, persist_to_db=True)
        tasks: list[asyncio.Task[object]] = []
        for number in range(0, 20, 2):
            tasks.append(asyncio.create_task(history.add("user", str(number))))
            tasks.append(asyncio.create_task(manager.add_message("user", str(number + 1))))
        history.add_assistant_message("now")
        assert texts(await manager.get_messages()) == [*map(str, range(20)), "now"]
        assert texts(history.get_messages()) == [*map(str, range(0, 20, 2)), "now"]
        await asyncio.gather(*tasks)
        metadata = {"cost": 1}
        history.add_tool_result("weather", "sunny", metadata)
        history.add_system_message("Be brief.")
        history.add_user_message("Thanks.", {"mood": "good"})
        history.add_message("assistant", "You are welcome.")
        assert metadata == {"cost": 1}
        assert (
            history.format_for_prompt(last_n=4) == "Tool (weather): sunny\nUser: Thanks.\nAssistant: You are welcome."
        )
        loaded = ConversationHistory(max_messages=2, state_manager=manager)
        await loaded.load_from_db()
        assert texts(loaded.messages) == ["Thanks.", "You are welcome."]
        assert (len(loaded), repr(loaded)) == (2, "ConversationHistory(messages=2, max_messages=2)")
        loaded.clear()
        assert (len(loaded), len(await manager.get_messages())) == (0, 25)

    asyncio.run(main())


def test_an_added_message_belongs_to_the_thread_that_is_current_when_it_is_added() -> None:
    async def main() -> None:
        manager = StateManager()
        first = await manager.create_thread("First")
        history = ConversationHistory(state_manager=manager, persist_to_db=True)
        adding = asyncio.create_task(history.add("user", "awaited"))
        switching = manager.create_thread("Second")
        history.add_user_message("synchronous")
        second = await switching
        await adding
        history.add_user_message("after")
        assert texts(await manager.get_messages(first.id)) == ["awaited", "synchronous"]
        assert texts(await manager.get_messages(second.id)) == ["after"]
        loading = history.load_from_db()
        await manager.set_current_thread(first.id)
        await loading
        assert texts(history.get_messages()) == ["after"]

    asyncio.run(main())


def test_a_history_without_a_thread_raises_and_does_not_keep_the_message() -> None:
    async def main() -> None:
        history = ConversationHistory(state_manager=StateManager(), persist_to_db=True)
        with pytest.raises(NoActiveThread):
            history.add_user_message("Hello")
        with pytest.raises(NoActiveThread):
            await history.add("user", "Hello")
        with pytest.raises(NoActiveThread):
            await history.load_from_db()
        assert len(history) == 0
        history.persist_to_db = False
        history.add_user_message("In memory only")
        history.max_tokens = 1
        await history.add("user", "This too")
        assert texts(history.messages) == ["This too"]

    asyncio.run(main())


def test_a_history_works_without_a_loop_and_without_a_manager() -> None:
    history = ConversationHistory(max_messages=10, max_tokens=100)
    history.add_user_message("Hello")
    asyncio.run(history.add("assistant", "Hi"))
    asyncio.run(history.load_from_db())  # warns
    assert (texts(history.messages), history.max_messages, history.max_tokens) == (["Hello", "Hi"], 10, 100)
    with pytest.raises(BadValue, match=r"chatstore_cli\.aio\.threads"):
        history.state_manager = SynchronousManager()


# --- repositories ----------------------------------------------------------------------------------------------------


def test_a_repository_is_awaitable_too_and_managers_share_it() -> None:
    async def main() -> None:
        repository = MockConversationRepository()
        thread = await repository.create_thread(CreateChatThreadRequest(user_id="ada", org_id="acme", name="Direct"))
        request = CreateChatMessageRequest(
            chat_thread_id=thread.id, sender_role="user", content={"type": "text", "text": "Hello"}
        )
        message = await repository.create_message(request)
        manager = StateManager(repository=repository)
        assert manager.repository is repository
        await manager.set_current_thread(thread.id)
        assert await manager.get_messages() == [message]
        assert [each async for each in repository.iter_messages(thread.id)] == [message]
        stranger = StateManager(repository=repository, user_id="bob")
        assert await stranger.get_thread(thread.id) is None
        assert await repository.delete_message(message.id)
        assert repository.get_stats() == {"threads": 1, "messages": 0, "total_thread_messages": 0}
        assert await repository.delete_thread(thread.id)

    asyncio.run(main())


def test_a_synchronous_repository_is_accepted_and_an_asynchronous_one_is_not() -> None:
    repository = SynchronousMock()
    asyncio.run(StateManager(repository).create_thread("Hello"))
    assert repository.get_stats()["threads"] == 1

    class Asynchronous:
        async def get_thread(self, thread_id: str) -> None: ...

    with pytest.raises(BadValue, match="is not a synchronous repository"):
        StateManager(Asynchronous())


def test_one_manager_serves_several_loops_and_threads() -> None:
    manager = StateManager()
    asyncio.run(manager.create_thread("Loops"))

    def loop(name: str) -> None:
        async def main() -> None:
            for number in range(20):
                await manager.add_message("user", f"{name} {number}")

        asyncio.run(main())

    loops = [threading.Thread(target=loop, args=(name,)) for name in "abc"]
    for each in loops:
        each.start()
    for each in loops:
        each.join()
    stored = texts(asyncio.run(manager.get_messages()))
    for name in "abc":
        assert [text for text in stored if text.startswith(name)] == [f"{name} {number}" for number in range(20)]


# --- start-up --------------------------------------------------------------------------------------------------------


def test_threads_in_memory_load_no_driver() -> None:
    program = """
import asyncio, sys
from chatstore_cli.aio.threads import StateManager

async def main():
    manager = StateManager()
    await manager.create_thread("Hello")
    await manager.add_message("user", "Hello")

asyncio.run(main())
print(sorted({name.partition(".")[0] for name in sys.modules} & {"pymongo", "bson", "mongomock", "typer", "rich", "yaml"}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_module_has_every_name_of_the_synchronous_one() -> None:
    assert aio.__all__ == synchronous.__all__
    different = {name for name in aio.__all__ if getattr(aio, name) is not getattr(synchronous, name)}
    assert different == {
        "ConversationHistory",
        "ConversationRepository",
        "MockConversationRepository",
        "MongoConversationRepository",
        "PostgreSQLConversationRepository",
        "StateManager",
        "create_repository",
    }
