"""A time limit that holds whatever the other side does: answers byte by byte, or a name server that never answers."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar, cast

from chatstore_cli.domain.errors import Overdue

Result = TypeVar("Result")


def within(seconds: float, doing: str, work: Callable[[], Result], give_up: Callable[[], None] | None = None) -> Result:
    """What the work gives, or raises. Raises Overdue after the time; the work is then left to itself.

    It runs in a thread that does not hold up the process's end; `give_up` may tell it to stop.
    """
    outcome: queue.SimpleQueue[tuple[Result | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            outcome.put((work(), None))
        except BaseException as error:  # noqa: BLE001 - handed over to the thread that waits, which raises it
            outcome.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        result, error = outcome.get(timeout=max(seconds, 0.001))
    except queue.Empty:
        if give_up is not None:
            give_up()
        raise Overdue(
            what=f"{doing}: no answer within {seconds:g} seconds",
            hint="Give it longer with --deadline, or find out what the application waits for.",
        ) from None
    if error is not None:
        raise error
    return cast(Result, result)
