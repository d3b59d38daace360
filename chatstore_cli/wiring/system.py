"""System services of commands: new files, signals, and the translation of errors that no adapter caught."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

from chatstore_cli.domain.errors import ChatstoreError


def new_file(
    path: str, *, force: bool, private: bool = False, create_own_folder: bool = False
) -> AbstractContextManager[BinaryIO]:
    """A new file for writing, which appears as a whole when the block ends. Raises Conflict if it exists.

    With `create_own_folder`, the user's configuration folder of chatstore is created if the file belongs there.
    """
    from chatstore_cli.config.loading import user_configuration
    from chatstore_cli.files.atomic_file import new_file as atomic_file

    if create_own_folder and Path(path).absolute() == user_configuration():
        user_configuration().parent.mkdir(parents=True, exist_ok=True)
    return atomic_file(Path(path), force=force, private=private)


@contextmanager
def ending_is_interruption(*, once: bool = False) -> Iterator[None]:
    """TERM and HUP raise KeyboardInterrupt inside the block, as Ctrl-C does, so that cleanup code runs.

    With `once`, only the first signal does: a second one cannot interrupt the cleanup before it has begun.

    If a signal arrives in a destructor, Python discards the exception. Then it is raised at the end of the block.
    """
    received: list[int] = []

    def interrupt(number: int, _frame: object) -> None:
        received.append(number)
        if not once or len(received) == 1:
            raise KeyboardInterrupt

    with _handling_endings(interrupt):
        yield
    if received:
        raise KeyboardInterrupt


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """INT, TERM and HUP wait for the end of the block, which starts or removes something as a whole.

    At the end the last of them is raised again, so that it has its usual effect.
    """
    received: list[int] = []
    try:
        with _handling_endings(lambda number, _frame: received.append(number)):
            yield
    finally:
        if received:
            signal.raise_signal(received[-1])


@contextmanager
def _handling_endings(handler: Callable[[int, object], None]) -> Iterator[None]:
    """INT, TERM and HUP call the handler inside the block. A signal that nohup ignores stays ignored."""
    endings = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    numbers = [number for number in endings if signal.getsignal(number) is not signal.SIG_IGN]
    earlier = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, former in earlier.items():
            signal.signal(number, former)


def translate_uncaught_error(error: Exception) -> ChatstoreError | None:
    """The ChatstoreError for an error of the driver or the system that no adapter caught; None for a bug."""
    if "pymongo" in sys.modules:  # otherwise it is not an error of the driver, which need not be imported
        from chatstore_cli.mongo.connection import is_driver_error, translate

        if is_driver_error(error):
            return translate(error, "MongoDB")
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return ChatstoreError(
            what="The system allows this process no further thread.",
            hint="End other processes of this user, or raise the limit of processes (ulimit -u, or pids of the container).",
        )
    if isinstance(error, OSError) and error.strerror:
        path = f"{error.filename}: " if error.filename else ""
        return ChatstoreError(what=f"{path}{error.strerror}")
    return None
