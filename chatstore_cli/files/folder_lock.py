"""The lock of a folder of journals: one process at a time stores its journals, and others learn which one."""

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
_SECONDS_TO_LOCK = 0.2
"""Seconds. Longer than `holder_of`, which only checks who holds the lock, keeps it."""


class FolderLock:
    """The lock of a journal folder. The kernel releases it when the process ends, however it ends.

    The holder's name is in another file, because opening a lock file empties it.
    """

    def __init__(self, journals: Path, bookkeeping: Path, command: str) -> None:
        self._journals = journals
        self._path = bookkeeping / _LOCK
        self._holder_file = bookkeeping / _HOLDER
        self._command = command
        self._lock = FileLock(self._path, timeout=_SECONDS_TO_LOCK, mode=0o600, thread_local=False)
        self._file: tuple[int, int] | None = None

    def acquire(self) -> None:
        """Acquire the lock. Raises Locked, which names the holder."""
        try:
            self._lock.acquire()
            self._file = _file_at(self._path)
        except Timeout:
            holder = _read_holder(self._holder_file)
            name = "another process" if holder is None else str(holder)
            raise Locked(what=str(self._journals), holder=name, hint="Wait until it has ended, or stop it.") from None
        except OSError as error:
            raise ChatstoreError(what=f"{self._path}: {error.strerror or error}") from error
        holder = LockHolder(
            self._command, os.getpid(), socket.gethostname(), datetime.now(UTC).isoformat(timespec="seconds")
        )
        with suppress(OSError):
            self._holder_file.write_text(json.dumps(holder._asdict()))

    @property
    def is_valid(self) -> bool:
        """Whether the lock that is held is still that of the folder, which may have been removed and created again."""
        return self._file is not None and _file_at(self._path) == self._file

    def release(self) -> None:
        """Release the lock."""
        with suppress(OSError):
            if self.is_valid:
                self._holder_file.unlink()
        self._file = None
        self._lock.release()


@contextmanager
def folder_lock(journals: Path, bookkeeping: Path, command: str) -> Iterator[None]:
    """Hold the lock of a journal folder inside the block. Raises Locked, which names the holder."""
    lock = FolderLock(journals, bookkeeping, command)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def holder_of(bookkeeping: Path) -> LockHolder | None:
    """The process that holds the lock in this folder of ledger and lock; None if no process does."""
    try:
        descriptor = os.open(bookkeeping / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        # A killed holder leaves its name, but not the lock.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_holder(bookkeeping / _HOLDER) or LockHolder("another process", None, None, None)
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


def _read_holder(file: Path) -> LockHolder | None:
    try:
        fields = json.loads(file.read_text())
        return LockHolder(str(fields["command"]), int(fields["pid"]), str(fields["host"]), str(fields["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
