"""Watches through a thread of its own, so that the caller can stop at any moment, even if the database hangs."""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from chatstore_cli.core.retry import RetryPolicy
from chatstore_cli.domain.errors import UnknownHost, Unreachable

Item = TypeVar("Item")
Result = TypeVar("Result")

READ_AHEAD = 100
"""Items that are read before the caller asks for them."""

_CHECK_SECONDS = 0.1
"""Seconds between two checks of the caller's request to stop."""
_CLOSE_SECONDS = 0.5
"""Seconds to wait for the end of the thread. A thread that a silent server blocks is left behind."""
_SILENCE_SECONDS = 2.0
"""A call that takes more seconds is reported as an outage."""

_BEGUN = object()
_END = object()


class Outage:
    """Reports an outage once when it begins and once when it ends, whichever thread notices it first."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._since: float | None = None
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        """Whether an outage has begun and not ended."""
        return self._since is not None

    def begin(self, reason: str) -> None:
        """Report that the server does not answer, unless that was reported already."""
        with self._lock:
            if self._since is None:
                self._since = time.monotonic()
                self._say(f"{reason}{'' if reason.endswith('.') else '.'} Waiting for the server.")

    def end(self) -> None:
        """Report that the server answers again, if an outage was reported."""
        if self._since is None:
            return
        with self._lock:
            if self._since is not None:
                self._say(f"The server answers again, after {time.monotonic() - self._since:.1f} s.")
                self._since = None


class Watch:
    """A running watch: its notices, its calls of the database, and pauses that end at once when it terminates.

    Outages are waited out, from the start on. `greeting` is printed when watching begins,
    and `polling_hint` is added to the notice that the database is queried again and again.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._over = threading.Event()
        self._has_begun = False
        self._is_hopeless = False
        self._retry_policy = RetryPolicy(
            math.inf, say=lambda _: None, pause=lambda seconds: self._is_hopeless or self._over.wait(seconds)
        )
        self._waiting_since: float | None = None
        self.outage = Outage(say)
        self.say = say
        self.greeting = ""
        self.polling_hint = ""

    @property
    def is_over(self) -> bool:
        """Whether the watch has terminated."""
        return self._over.is_set()

    def begin(self) -> None:
        """Announce that every change from now on is reported."""
        if self.greeting and not self.is_over:
            self.say(self.greeting)
        self._has_begun = True

    def terminate(self) -> None:
        """End every pause and retry, because the caller no longer waits for items."""
        self._over.set()

    def pause(self, seconds: float) -> None:
        """Wait for that time, or until the watch terminates."""
        self._over.wait(seconds)

    def call(self, operation: Callable[[], Result]) -> Result:
        """The result of a database operation, retried through every outage.

        Raises UnknownHost if watching has not begun: a server that never existed is not an outage.
        """

        def attempt() -> Result:
            self._waiting_since = time.monotonic()
            try:
                return operation()
            except Unreachable as error:
                self._is_hopeless = isinstance(error, UnknownHost) and not self._has_begun
                if not self._is_hopeless:
                    self.outage.begin(error.message)
                raise
            finally:
                self._waiting_since = None

        result = self._retry_policy.call(attempt)
        self.outage.end()
        return result

    def note_answer(self) -> None:
        """The server has answered one of a call's commands."""
        if self._waiting_since is not None:
            self._waiting_since = time.monotonic()
        self.outage.end()

    def note_failure(self, reason: str) -> None:
        """A command of a call failed, and the driver retries it."""
        if not self.is_over:
            self.outage.begin(f"The connection to the server failed: {reason}")

    def note_silence(self) -> None:
        """Report an outage if the server has not answered a call for long."""
        since = self._waiting_since
        if since is not None and time.monotonic() - since > _SILENCE_SECONDS:
            self.outage.begin(f"The server has not answered for {_SILENCE_SECONDS:g} s.")


def iterate_until(
    watch: Watch,
    open_items: Callable[[], Iterable[Item]],
    stop_requested: Callable[[], object],
    seconds: float | None = None,
) -> Iterator[Item]:
    """The items as they come, until the caller asks to stop or that many seconds have passed since watching began.

    A thread of its own calls `open_items`, whose return is the beginning, and reads the items. Returns after the
    beginning. During an outage before that, the seconds count from this call; when they have passed, Unreachable is raised.
    `stop_requested` is checked ten times a second. Raises what the thread raises.
    """
    limit = math.inf if seconds is None else seconds
    received: queue.Queue[Any] = queue.Queue(READ_AHEAD)

    def hand_over(item: object) -> None:
        while not watch.is_over:
            with contextlib.suppress(queue.Full):
                received.put(item, timeout=_CHECK_SECONDS)
                return

    def run() -> None:
        try:
            items = open_items()
            watch.begin()
            hand_over(_BEGUN)
            for item in items:
                hand_over(item)
                if watch.is_over:
                    return
            hand_over(_END)
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            hand_over(error)

    def receive() -> Iterator[Any]:
        begun, deadline = False, time.monotonic() + limit
        try:
            while not stop_requested():
                if time.monotonic() >= deadline and begun:
                    return
                if time.monotonic() >= deadline and watch.outage:
                    raise Unreachable(what=f"No server answered within {limit:g} s, so nothing was watched.")
                watch.note_silence()
                try:
                    item = received.get(timeout=_CHECK_SECONDS)
                except queue.Empty:
                    continue
                if item is _END:
                    return
                if isinstance(item, BaseException):
                    raise item
                if item is _BEGUN:
                    begun, deadline = True, time.monotonic() + limit
                yield item
        finally:
            watch.terminate()
            thread.join(_CLOSE_SECONDS)

    thread = threading.Thread(target=run, name="chatstore-watch", daemon=True)
    thread.start()
    items = receive()
    next(items, None)  # the beginning
    return items
