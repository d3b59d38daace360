"""One process at a time follows a folder of journals; the other one is told who."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from chatstore_cli.domain.cache_status import LockHolder
from chatstore_cli.domain.errors import ChatstoreError, Locked

_LOCK, _HOLDER = "lock", "lock.holder"
_SECONDS_OF_A_LOOK = 0.2
"""For so long somebody who only looks who holds the lock may be in the way."""


class FolderLock:
    """The lock of a journal folder. The kernel lets go of it when the process ends, however it ends.

    The holder's name stands in a file beside it, for a lock file is emptied by whoever opens it.
    """

    def __init__(self, journals: Path, bookkeeping: Path, command: str) -> None:
        self._journals = journals
        self._path = bookkeeping / _LOCK
        self._named = bookkeeping / _HOLDER
        self._command = command
        self._lock = FileLock(self._path, timeout=_SECONDS_OF_A_LOOK, mode=0o600, thread_local=False)
        self._file: tuple[int, int] | None = None

    def acquire(self) -> None:
        """Hold it. Raises Locked, naming the holder."""
        try:
            self._lock.acquire()
            self._file = _file_at(self._path)
        except Timeout:
            holder = _read(self._named)
            told = "another process" if holder is None else str(holder)
            raise Locked(what=str(self._journals), holder=told, hint="Wait until it has ended, or stop it.") from None
        except OSError as error:
            raise ChatstoreError(what=f"{self._path}: {error.strerror or error}") from error
        holder = LockHolder(
            self._command, os.getpid(), socket.gethostname(), datetime.now(UTC).isoformat(timespec="seconds")
        )
        with suppress(OSError):
            self._named.write_text(json.dumps(holder._asdict()))

    @property
    def is_there(self) -> bool:
        """Whether what is held is still the lock of that folder: it may have been removed, and made again."""
        return self._file is not None and _file_at(self._path) == self._file

    def release(self) -> None:
        """Let go of it."""
        with suppress(OSError):
            if self.is_there:
                self._named.unlink()
        self._file = None
        self._lock.release()


@contextmanager
def folder_lock(journals: Path, bookkeeping: Path, command: str) -> Iterator[None]:
    """Hold the lock of a journal folder inside the block. Raises Locked, naming the holder."""
    lock = FolderLock(journals, bookkeeping, command)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def holder_of(bookkeeping: Path) -> LockHolder | None:
    """Who holds the lock of the folder that is remembered there; None where nobody does."""
    try:
        descriptor = os.open(bookkeeping / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        # A killed holder leaves its name behind, but not the lock.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(bookkeeping / _HOLDER) or LockHolder("another process", None, None, None)
    except OSError:
        return None  # a file system without such locks
    finally:
        os.close(descriptor)
    return None


def _file_at(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _read(named: Path) -> LockHolder | None:
    try:
        told = json.loads(named.read_text())
        return LockHolder(str(told["command"]), int(told["pid"]), str(told["host"]), str(told["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
