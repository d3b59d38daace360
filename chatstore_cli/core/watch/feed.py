"""Watching: what happens is read in a thread of its own, so that whoever waits for it can end at any moment."""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar, cast

from chatstore_cli.core.retry import RetryPolicy
from chatstore_cli.domain.errors import UnknownHost, Unreachable

Thing = TypeVar("Thing")
Answer = TypeVar("Answer")

HELD = 100
"""Things read ahead of whoever takes them."""

_LOOKS_EVERY = 0.1
_CLOSES_WITHIN = 0.5
"""Seconds for which a thread is waited for in the end; one that a silent server holds is left behind."""
_SILENT_SECONDS = 2.0
"""An answer that takes longer is told to be waited for."""

_BEGUN = object()
_END = object()


class Outage:
    """Tells of an outage once when it begins and once when it is over, whoever notices it first. Any thread may."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._since: float | None = None
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        """Whether there is one."""
        return self._since is not None

    def begins(self, what: str) -> None:
        """The server is away; nothing happens where that is known."""
        with self._lock:
            if self._since is None:
                self._since = time.monotonic()
                self._say(f"{what}{'' if what.endswith('.') else '.'} Waiting for the server.")

    def ends(self) -> None:
        """It answers."""
        if self._since is None:
            return
        with self._lock:
            if self._since is not None:
                self._say(f"The server answers again, after {time.monotonic() - self._since:.1f} s.")
                self._since = None


class Watching:
    """What a watcher needs of its surroundings: a pause that ends at once when it is over, and retries.

    Outages are waited out, from the beginning on. `greeting` is said when watching has begun.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._over = threading.Event()
        self._has_begun = False
        self._retry_policy = RetryPolicy(math.inf, say=lambda _: None, pause=self._over.wait)
        self._waiting_since: float | None = None
        self.outage = Outage(say)
        self.say = say
        self.greeting = ""

    @property
    def is_over(self) -> bool:
        """Whether nobody waits any more."""
        return self._over.is_set()

    def begin(self) -> None:
        """It stands: whatever happens from now on is told."""
        if self.greeting and not self.is_over:
            self.say(self.greeting)
        self._has_begun = True

    def end(self) -> None:
        """Nobody waits any more."""
        self._over.set()

    def pause(self, seconds: float) -> None:
        """Wait, or until it is over."""
        self._over.wait(seconds)

    def ask(self, question: Callable[[], Answer]) -> Answer:
        """The answer of the database, asked again through every outage.

        Raises UnknownHost before it has begun: a server that has never been there is no outage.
        """
        unknown: list[UnknownHost] = []

        def asked() -> Answer | None:
            self._waiting_since = time.monotonic()
            try:
                return question()
            except Unreachable as error:
                if isinstance(error, UnknownHost) and not self._has_begun:
                    unknown.append(error)
                    return None
                self.outage.begins(error.message)
                raise
            finally:
                self._waiting_since = None

        answer = self._retry_policy.call(asked)
        if unknown:
            raise unknown[0]
        self.outage.ends()
        return cast(Answer, answer)

    def answered(self) -> None:
        """The server has answered one of the things that are asked for an answer."""
        if self._waiting_since is not None:
            self._waiting_since = time.monotonic()
        self.outage.ends()

    def failed(self, reason: str) -> None:
        """It is away, and whoever asked tries once more."""
        if not self.is_over:
            self.outage.begins(f"The connection to the server failed: {reason}")

    def notice_silence(self) -> None:
        """Tell of a server that leaves a question open for long."""
        since = self._waiting_since
        if since is not None and time.monotonic() - since > _SILENT_SECONDS:
            self.outage.begins(f"The server has not answered for {_SILENT_SECONDS:g} s.")


def until(
    watching: Watching, things: Callable[[], Iterable[Thing]], asked_to_end: Callable[[], object], seconds: float | None
) -> Iterator[Thing]:
    """The things as they come, until somebody asks, or until that many seconds have passed since it began.

    `things` is called in a thread of its own, and so is what it gives gone through; it has begun when it gives that. None
    come where it ends before: during an outage, the seconds count from when that was noticed at the latest.
    `asked_to_end` is looked at ten times a second, whatever the database does. Raises what the things raise.
    """
    read: queue.Queue[Any] = queue.Queue(HELD)

    def hand_over(thing: object) -> None:
        while not watching.is_over:
            with contextlib.suppress(queue.Full):
                read.put(thing, timeout=_LOOKS_EVERY)
                return

    def run() -> None:
        try:
            begun = things()
            watching.begin()
            hand_over(_BEGUN)
            for thing in begun:
                hand_over(thing)
                if watching.is_over:
                    return
            hand_over(_END)
        except BaseException as error:  # noqa: BLE001 - raised again where somebody can do something about it
            hand_over(error)

    def taken(is_over: Callable[[], bool]) -> Iterator[Any]:
        while not (asked_to_end() or is_over()):
            watching.notice_silence()
            with contextlib.suppress(queue.Empty):
                thing = read.get(timeout=_LOOKS_EVERY)
                if thing is _END:
                    return
                if isinstance(thing, BaseException):
                    raise thing
                yield thing

    def ends_after(seconds: float | None) -> Callable[[], bool]:
        ends_at = math.inf if seconds is None else time.monotonic() + seconds
        return lambda: time.monotonic() >= ends_at

    def rest() -> Iterator[Thing]:
        try:
            yield from taken(ends_after(seconds))
        finally:
            end()

    def end() -> None:
        watching.end()
        thread.join(_CLOSES_WITHIN)

    thread = threading.Thread(target=run, name="chatstore-watch", daemon=True)
    thread.start()
    time_is_over = ends_after(seconds)
    try:
        has_begun = next(taken(lambda: bool(watching.outage) and time_is_over()), None) is _BEGUN
    except BaseException:
        end()
        raise
    if has_begun:
        return rest()
    end()
    return iter(())
