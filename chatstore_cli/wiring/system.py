"""What commands need of the system around them: new files, and the meaning of errors that no adapter caught."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

from chatstore_cli.domain.errors import ChatstoreError


def new_file(path: str, *, force: bool, private: bool = False) -> AbstractContextManager[BinaryIO]:
    """A file to be written to, which appears whole when the block ends well. Raises Conflict where there is one."""
    from chatstore_cli.files.atomic_file import new_file as appearing

    return appearing(Path(path), force=force, private=private)


@contextmanager
def ending_is_interruption() -> Iterator[None]:
    """Inside, TERM and HUP raise KeyboardInterrupt, as Ctrl-C does: for what must not be left half done."""

    def interrupt(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    ends = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is not signal.SIG_IGN]
    earlier = {number: signal.signal(number, interrupt) for number in ends}  # what nohup ignores stays ignored
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def translate_uncaught_error(error: Exception) -> ChatstoreError | None:
    """The error of ours for a driver's or the system's error that no adapter caught; None for a bug."""
    if "pymongo" in sys.modules:  # else it cannot be the driver's, and an error must not cost its import
        from chatstore_cli.mongo.connection import is_driver_error, translate

        if is_driver_error(error):
            return translate(error, "MongoDB")
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return ChatstoreError(what=f"{where}{error.strerror}")
    return None
