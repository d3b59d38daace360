"""Watching: what happens is read in a thread of its own, so that whoever waits for it can end at any moment."""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from chatstore_cli.core.patience import Patience

Thing = TypeVar("Thing")
Answer = TypeVar("Answer")

HELD = 100
"""Things read ahead of whoever takes them."""

_LOOKS_EVERY = 0.1
_CLOSES_WITHIN = 0.5
"""Seconds for which a thread is waited for in the end; one that a silent server holds is left behind."""
_END = object()


class Watching:
    """What a watcher needs of its surroundings: a pause that ends at once when it is over, and patience."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._over = threading.Event()
        self._has_begun = False
        self._patience = Patience(math.inf, say=say, pause=self._over.wait)
        self.say = say

    @property
    def is_over(self) -> bool:
        """Whether nobody waits any more."""
        return self._over.is_set()

    def begin(self) -> None:
        """From now on outages are waited out; before, they are errors."""
        self._has_begun = True

    def end(self) -> None:
        """Nobody waits any more."""
        self._over.set()

    def pause(self, seconds: float) -> None:
        """Wait, or until it is over."""
        self._over.wait(seconds)

    def ask(self, question: Callable[[], Answer]) -> Answer:
        """The answer of the database, asked again through every outage. Raises Unreachable before it has begun."""
        return self._patience.answer(question)[0] if self._has_begun else question()


def until(
    watching: Watching, things: Callable[[], Iterable[Thing]], asked_to_end: Callable[[], object], seconds: float | None
) -> Iterator[Thing]:
    """The things as they come, until somebody asks, or until that many seconds have passed.

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
            for thing in things():
                hand_over(thing)
                if watching.is_over:
                    return
            hand_over(_END)
        except BaseException as error:  # noqa: BLE001 - raised again where somebody can do something about it
            hand_over(error)

    ends_at = math.inf if seconds is None else time.monotonic() + seconds
    watching.begin()
    thread = threading.Thread(target=run, name="chatstore-watch", daemon=True)
    thread.start()
    try:
        while not asked_to_end() and (left := ends_at - time.monotonic()) > 0:
            try:
                thing = read.get(timeout=min(left, _LOOKS_EVERY))
            except queue.Empty:
                continue
            if thing is _END:
                return
            if isinstance(thing, BaseException):
                raise thing
            yield thing
    finally:
        watching.end()
        thread.join(_CLOSES_WITHIN)
