"""A time limit for any operation, also if a server answers byte by byte or a name server does not answer."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar, cast

from chatstore_cli.domain.errors import Overdue

Result = TypeVar("Result")


def run_within(
    seconds: float, activity: str, work: Callable[[], Result], give_up: Callable[[], None] | None = None
) -> Result:
    """The result of `work`, which runs in a daemon thread. Raises what it raises.

    After the time it raises Overdue and leaves the thread behind; `give_up` may make that end.
    """
    outcome: queue.SimpleQueue[tuple[Result | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            outcome.put((work(), None))
        except BaseException as error:  # noqa: BLE001 - raised again in the waiting thread
            outcome.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        result, error = outcome.get(timeout=max(seconds, 0.001))
    except queue.Empty:
        if give_up is not None:
            give_up()
        what = f"{activity}: no response within {seconds:g} seconds"
        raise Overdue(what=what, hint="Increase --deadline, or find out what the application waits for.") from None
    if error is not None:
        raise error
    return cast(Result, result)
