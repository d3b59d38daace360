"""Threads that run synchronous calls for an event loop."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, NamedTuple, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Threads:
    """At most `most` threads of the operating system, which run jobs in the order in which they came.

    A thread starts for a job, and ends when no job is waiting. So nothing has to be closed, and an object can be used by one
    event loop after another. The threads are daemons: the end of the process does not wait
    for a call that nobody awaits.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.start_over_after_fork()
        _reset_after_fork.add(self)

    def start_over_after_fork(self) -> None:
        """In the child of a fork: no job of the parent is running or waiting."""
        self._lock = threading.Lock()
        self._waiting: deque[Callable[[], bool]] = deque()
        self._running = 0

    def run(self, job: Callable[[], bool]) -> None:
        """Run a job soon. If it returns true, it runs again, after the jobs that are waiting."""
        with self._lock:
            if self._running < self._most:
                threading.Thread(target=self._work, args=(job,), name="chatstore-aio", daemon=True).start()
                self._running += 1
            else:
                self._waiting.append(job)

    def _work(self, job: Callable[[], bool]) -> None:
        while True:
            again = job()
            with self._lock:
                if again:
                    self._waiting.append(job)
                if not self._waiting:
                    self._running -= 1
                    return
                job = self._waiting.popleft()


class _Call(NamedTuple):
    future: Future[Any]
    function: Callable[[], Any]
    context: contextvars.Context


class Calls:
    """Makes calls in the order in which they came, at most `at_a_time` at once. With 1, each call waits for the one before.

    Several objects may share `threads`.
    """

    def __init__(self, at_a_time: int = 1, threads: Threads | None = None) -> None:
        self._at_a_time = at_a_time
        self._threads = Threads(at_a_time) if threads is None else threads
        self.start_over_after_fork()
        _reset_after_fork.add(self)

    def start_over_after_fork(self) -> None:
        """In the child of a fork: no call of the parent is running or waiting."""
        self._lock = threading.Lock()
        self._waiting: deque[_Call] = deque()
        self._running = 0

    def submit(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Queue a call and return its future. The call sees the context variables of this moment."""
        future: Future[R] = Future()
        call = _Call(future, lambda: function(*args, **kwargs), contextvars.copy_context())
        with self._lock:
            if self._running < self._at_a_time:
                self._threads.run(self._make_next)
                self._running += 1
            self._waiting.append(call)
        return future

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Make a call now, and return a coroutine that waits for its result in any event loop.

        If the coroutine is cancelled, a call that is still waiting is not made. A running call continues to its end.
        """
        return answer(self.submit(function, *args, **kwargs))

    def _make_next(self) -> bool:
        with self._lock:
            if not self._waiting:
                self._running -= 1
                return False
            call = self._waiting.popleft()
        _make(call)
        del call  # else an error and the call would refer to each other
        return True


async def answer(future: Future[R], then: Callable[[R], None] | None = None) -> R:
    """The result of a call, in any event loop. `then` is called with it, unless the await is cancelled."""
    try:
        result = await asyncio.wrap_future(future)
    finally:
        del future  # it has the error, whose traceback refers to this frame
    if then is not None:
        then(result)
    return result


def _make(call: _Call) -> None:
    if not call.future.set_running_or_notify_cancel():
        return
    try:
        result = call.context.run(call.function)
    except StopIteration as error:  # a future of asyncio rejects it, and the await would never end
        stopped = RuntimeError("the call raised StopIteration")
        stopped.__cause__ = error
        call.future.set_exception(stopped)
        del call, stopped
    except BaseException as error:  # noqa: BLE001 - the caller receives it from the future
        call.future.set_exception(error)
        del call  # the traceback of the error refers to this frame
    else:
        call.future.set_result(result)


_reset_after_fork: weakref.WeakSet[Threads | Calls] = weakref.WeakSet()


def _after_fork() -> None:
    for each in list(_reset_after_fork):
        each.start_over_after_fork()


os.register_at_fork(after_in_child=_after_fork)
