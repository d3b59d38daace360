"""Calls: the threads that run synchronous calls for an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import os
import signal
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Iterator

import pytest

from chatstore_cli.aio.calls import Calls, Threads
from chatstore_cli.domain.errors import Unreachable
from tests.support.mongod import poll

NAME = "chatstore-aio"


_EARLIER: set[threading.Thread] = set()
"""Threads that other tests left behind: a server that has stopped may still close its connections."""


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == NAME and thread not in _EARLIER]


@pytest.fixture(autouse=True)
def threads_of_earlier_tests() -> Iterator[None]:
    """Leave the threads of earlier tests out of every count."""
    _EARLIER.update(threads())
    yield
    _EARLIER.clear()


class Held:
    """A function that waits until the test lets it return."""

    def __init__(self) -> None:
        self.entered, self.released = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.entered.set()
        assert self.released.wait(60)
        return "done"


def test_calls_run_one_at_a_time_in_the_order_in_which_they_were_made_not_awaited() -> None:
    order: list[int] = []
    running: list[int] = []

    def note(number: int) -> None:
        running.append(number)
        assert running == [number]
        order.append(number)
        running.clear()

    async def main() -> None:
        calls = Calls()
        made = [calls.call(note, number) for number in range(50)]
        await asyncio.gather(*reversed(made))

    asyncio.run(main())
    assert order == list(range(50))


def test_a_task_that_has_not_started_yet_comes_before_a_later_call() -> None:
    order: list[str] = []

    async def main() -> None:
        calls = Calls()
        task = asyncio.create_task(calls.call(order.append, "first"))
        await calls.call(order.append, "second")
        await task

    asyncio.run(main())
    assert order == ["first", "second"]


def test_the_loop_continues_while_a_call_runs() -> None:
    held = Held()

    async def main() -> str:
        answer = asyncio.create_task(Calls().call(held))
        while not held.entered.is_set():
            await asyncio.sleep(0)
        held.released.set()  # only a loop that still runs can do this
        return await answer

    assert asyncio.run(main()) == "done"


def test_at_most_so_many_calls_run_at_a_time() -> None:
    calls, together = Calls(3), threading.Barrier(3)
    most: list[int] = []

    def count() -> None:
        together.wait(60)
        most.append(len(threads()))

    async def main() -> None:
        await asyncio.gather(*(calls.call(count) for _ in range(9)))

    asyncio.run(main())
    assert max(most) <= 3


def test_shared_threads_are_bounded_and_every_sharer_keeps_its_order() -> None:
    shared, together = Threads(4), threading.Barrier(4)
    order: dict[int, list[int]] = {sharer: [] for sharer in range(20)}
    most: list[int] = []

    def note(sharer: int, number: int) -> None:
        if number == 0 and sharer < 4:
            together.wait(60)  # four calls run at a time
        order[sharer].append(number)
        most.append(len(threads()))

    async def main() -> None:
        sharers = [Calls(threads=shared) for _ in order]
        await asyncio.gather(*(calls.call(note, n, number) for number in range(30) for n, calls in enumerate(sharers)))

    asyncio.run(main())
    assert order == {sharer: [*range(30)] for sharer in range(20)}
    assert max(most) <= 4


def test_a_busy_sharer_does_not_hold_the_others_up() -> None:
    shared = Threads(1)
    order: list[str] = []

    async def main() -> None:
        busy, other = Calls(threads=shared), Calls(threads=shared)
        held = Held()
        first = asyncio.create_task(busy.call(held))
        await asyncio.sleep(0)
        many = [busy.call(order.append, f"busy {number}") for number in range(3)]
        one = other.call(order.append, "other")
        held.released.set()
        await asyncio.gather(first, one, *many)

    asyncio.run(main())
    assert order == ["other", "busy 0", "busy 1", "busy 2"]


def test_errors_pass_unchanged() -> None:
    error = Unreachable(what="The server is down.", hint="Start it.")

    def fail() -> None:
        raise error

    async def main() -> None:
        await Calls().call(fail)

    with pytest.raises(Unreachable) as raised:
        asyncio.run(main())
    assert raised.value is error


def test_a_stop_iteration_ends_the_await() -> None:
    """asyncio refuses it as an exception of a future, and the await would never end."""

    async def await_it() -> None:
        await asyncio.wait_for(Calls().call(next, iter(())), 30)

    with pytest.raises(RuntimeError, match="StopIteration") as raised:
        asyncio.run(await_it())
    assert isinstance(raised.value.__cause__, StopIteration)


def test_a_call_can_be_made_before_a_loop_runs_and_several_loops_follow_each_other() -> None:
    calls = Calls()
    made = calls.call(str, 1)
    assert asyncio.run(made) == "1"
    assert asyncio.run(calls.call(str, 2)) == "2"


def test_a_call_sees_the_context_of_its_caller() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")

    async def main() -> str:
        variable.set("the task's")
        return await Calls().call(variable.get)

    assert asyncio.run(main()) == "the task's"


def test_threads_end_with_their_last_call() -> None:
    async def main() -> None:
        await asyncio.gather(*(Calls(4).call(int) for _ in range(8)))

    asyncio.run(main())
    poll(lambda: not threads(), what="the threads have ended")


def test_nothing_of_a_call_is_kept() -> None:
    class Argument:
        pass

    argument = Argument()
    alive = weakref.ref(argument)

    def fail(_: Argument) -> None:
        raise ValueError

    async def main(argument: Argument) -> None:
        calls = Calls()
        await calls.call(id, argument)
        with contextlib.suppress(ValueError):
            await calls.call(fail, argument)

    gc.disable()
    try:
        asyncio.run(main(argument))
        poll(lambda: not threads(), what="the threads have ended")
        del argument
        assert alive() is None
    finally:
        gc.enable()


# --- cancelled calls -------------------------------------------------------------------------------------------------


def test_a_cancelled_call_that_is_still_waiting_is_not_made() -> None:
    made: list[str] = []

    async def main() -> None:
        calls, held = Calls(), Held()
        first = asyncio.create_task(calls.call(held))
        second = asyncio.create_task(calls.call(made.append, "second"))
        await asyncio.sleep(0)  # both tasks wait for their calls now
        second.cancel()
        await asyncio.wait([second])
        held.released.set()
        await first
        await calls.call(made.append, "third")

    asyncio.run(main())
    assert made == ["third"]


def test_a_cancelled_call_that_runs_continues_to_its_end() -> None:
    held, ended = Held(), threading.Event()

    def call() -> None:
        held()
        ended.set()

    async def main() -> None:
        task = asyncio.create_task(Calls().call(call))
        while not held.entered.is_set():
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(main())  # the loop is closed when the call ends
    held.released.set()
    assert ended.wait(60)
    poll(lambda: not threads(), what="the thread has ended")


def test_a_call_that_is_never_awaited_is_made_and_python_warns() -> None:
    made = threading.Event()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Calls().call(made.set)
        gc.collect()
    assert made.wait(60)
    assert any("never awaited" in str(warning.message) for warning in caught)


# --- the ends of processes -------------------------------------------------------------------------------------------


def test_a_running_call_does_not_keep_the_process_alive() -> None:
    program = """
import asyncio, threading
from chatstore_cli.aio.calls import Calls

async def main():
    task = asyncio.create_task(Calls().call(threading.Event().wait))
    await asyncio.sleep(0)

asyncio.run(main())
print("ended")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ended\n", "")


def test_the_child_of_a_fork_makes_calls_of_its_own_and_none_of_its_parents() -> None:
    calls, held = Calls(), Held()
    made: list[str] = []
    running, waiting = calls.submit(held), calls.submit(made.append, "the parent's")
    assert held.entered.wait(60)
    child = os.fork()
    if child == 0:
        status = 1
        signal.alarm(60)  # ends a child that waits for a call of its parent
        try:
            status = 0 if asyncio.run(calls.call(str, 5)) == "5" and made == [] else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    held.released.set()
    assert running.result(60) == "done"
    waiting.result(60)
    assert made == ["the parent's"]
