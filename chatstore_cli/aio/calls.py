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


class _Call(NamedTuple):
    future: Future[Any]
    function: Callable[[], Any]
    context: contextvars.Context


class Calls:
    """Runs calls in the order in which they were made, in at most `most` threads at a time. With one thread, that is one
    call at a time.

    A thread starts for a call, and ends when no call is waiting. So nothing has to be closed, an event loop that has ended
    leaves nothing behind, and the next loop can continue. The threads are daemons: the end of the process does not wait
    for a call that nobody awaits. In the child of a fork no call of the parent is running or waiting.
    """

    def __init__(self, most: int = 1) -> None:
        self._most = most
        self.start_over_after_fork()
        _all_calls.add(self)

    def start_over_after_fork(self) -> None:
        """In the child of a fork: forget the calls and threads of the parent."""
        self._lock = threading.Lock()
        self._waiting: deque[_Call] = deque()
        self._threads = 0

    def submit(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Make a call. Its place in the order is that of this moment; it sees the context variables of this moment."""
        future: Future[R] = Future()
        call = _Call(future, lambda: function(*args, **kwargs), contextvars.copy_context())
        with self._lock:
            if self._threads < self._most:
                threading.Thread(target=self._run, args=(call,), name="chatstore-aio", daemon=True).start()
                self._threads += 1
            else:
                self._waiting.append(call)
        return future

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Make a call now, and return a coroutine that waits for its result in any event loop.

        If the coroutine is cancelled, a call that is still waiting is not made. A running call continues to its end.
        """
        return answer(self.submit(function, *args, **kwargs))

    def _run(self, call: _Call | None) -> None:
        while call is not None:
            _make(call)
            call = None  # nothing of it is kept while this thread looks for the next one
            with self._lock:
                if self._waiting:
                    call = self._waiting.popleft()
                else:
                    self._threads -= 1


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
    except BaseException as error:  # noqa: BLE001 - whoever awaits the call receives it
        call.future.set_exception(error)
        del call  # the traceback of the error refers to this frame
    else:
        call.future.set_result(result)


_all_calls: weakref.WeakSet[Calls] = weakref.WeakSet()


def _after_fork() -> None:
    for calls in list(_all_calls):
        calls.start_over_after_fork()


os.register_at_fork(after_in_child=_after_fork)
