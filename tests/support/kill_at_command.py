"""kill -9 of the own process at a chosen command to MongoDB: the same instant however fast the machine is."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

INSTANTS = ("before", "during", "after")
"""Before the command is sent; a moment later, while the server works on it or on what follows; after its answer."""


class KillAtCommand(CommandListener):
    """Kills this process at its n-th command since it was armed. Register it before the client is made."""

    def __init__(self, instant: str, number: int, milliseconds: float = 0.0, *, is_armed: bool = True) -> None:
        """`milliseconds` is the moment of `during`."""
        self._instant, self._number, self._milliseconds = instant, number, milliseconds
        self._is_armed = is_armed
        self._started = 0
        self._killer: threading.Timer | None = None

    def arm(self) -> None:
        """Count commands from now on."""
        self._is_armed = True

    def wait(self) -> None:
        """Return only if no kill is under way: called at the end of the work, so that it cannot outrun the kill."""
        if self._killer is not None:
            self._killer.join()

    def started(self, event: CommandStartedEvent) -> None:
        if not self._is_armed:
            return
        self._started += 1
        if self._started == self._number and self._instant == "during":
            self._killer = threading.Timer(self._milliseconds / 1000, kill_this_process)
            self._killer.start()
        self._kill_if("before")

    def succeeded(self, event: CommandSucceededEvent) -> None:
        self._kill_if("after")

    def failed(self, event: CommandFailedEvent) -> None:
        self._kill_if("after")

    def _kill_if(self, instant: str) -> None:
        if (instant, self._started) == (self._instant, self._number):
            kill_this_process()


def kill_this_process() -> None:
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def run_in_fork(work: Callable[[], None]) -> int:
    """Run the work in a fork of this process; return its exit code, -9 if it was killed."""
    return wait_for(fork(work))


def wait_for(process: int) -> int:
    """Wait until a fork ends; return its exit code, -9 if it was killed."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def fork(work: Callable[[], None]) -> int:
    """Start the work in a fork of this process; return the id of the fork."""
    process = os.fork()
    if process == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - the fork must not go on as its parent
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    return process
