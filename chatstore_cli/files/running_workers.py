"""Announcements of the workers in servers, beside the journals: `cache status` names the process.

Such a worker stores what its own process records, and needs no lock of the folder: several of them may share it. The
announcement is a locked file. The kernel releases the lock when the process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

from chatstore_cli.domain.cache_status import LockHolder
from chatstore_cli.files.folder_lock import read_holder
from chatstore_cli.files.ownership import open_private

_FILES = "worker-*.holder"


class RunningWorker:
    """The announcement of a worker of this process, until `close`."""

    def __init__(self, bookkeeping: Path, command: str) -> None:
        """Raises OSError."""
        for each in bookkeeping.glob(_FILES):
            if not _is_running(each):
                with suppress(OSError):
                    each.unlink()
        name = f"worker-{token_hex(8)}.holder"
        unlocked, self._file = bookkeeping / f"{name}.new", bookkeeping / name
        holder = LockHolder(command, os.getpid(), socket.gethostname(), datetime.now(UTC).isoformat(timespec="seconds"))
        self._descriptor = open_private(unlocked, os.O_WRONLY | os.O_CREAT)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(self._descriptor, json.dumps(holder._asdict()).encode())
            unlocked.rename(self._file)  # after the lock: an unlocked file is one of a process that has ended
        except BaseException:
            os.close(self._descriptor)
            unlocked.unlink(missing_ok=True)
            raise

    def close(self) -> None:
        """Remove the announcement."""
        with suppress(OSError):
            self._file.unlink()
        os.close(self._descriptor)


def running_worker(bookkeeping: Iterable[Path]) -> LockHolder | None:
    """A worker that announced itself in one of these folders and still runs."""
    files = (each for folder in bookkeeping for each in sorted(folder.glob(_FILES)))
    return next((holder for each in files if _is_running(each) and (holder := read_holder(each)) is not None), None)


def _is_running(file: Path) -> bool:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # a file system without such locks
    finally:
        os.close(descriptor)
    return False
