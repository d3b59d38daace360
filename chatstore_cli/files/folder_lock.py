"""The lock of a folder of journals: one process at a time stores its journals, and others learn which one.

The lock is an exclusive `flock` on the folder itself, so it needs only the right to read the folder: it excludes the
processes of every user, wherever each keeps its ledger.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from chatstore_cli.core.regular_files import read_regular
from chatstore_cli.domain.cache_status import LockHolder
from chatstore_cli.domain.errors import ChatstoreError, Locked
from chatstore_cli.files.file_lock import lock_within
from chatstore_cli.files.ownership import access_hint, open_private, user_name
from chatstore_cli.files.state_folder import BESIDE

_HOLDER = "lock.holder"
_SECONDS_TO_LOCK = 0.2
"""Seconds. Longer than `holder_of`, which only checks who holds the lock, keeps it."""

_KERNEL_LOCKS = Path("/proc/locks")


class FolderLock:
    """The lock of a journal folder. The kernel releases it when the process ends, however it ends.

    The holder's name is in a file of the bookkeeping folder, which other users may be unable to read.
    """

    def __init__(self, journals: Path, bookkeeping: Path, command: str) -> None:
        self._journals = journals
        self._holder_file = bookkeeping / _HOLDER
        self._command = command
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Acquire the lock. Raises Locked, which names the holder."""
        try:
            descriptor = _open_folder(self._journals)
        except OSError as error:
            raise _cannot_lock(self._journals, error) from error
        try:
            if not lock_within(descriptor, _SECONDS_TO_LOCK):
                raise _locked(self._journals, self._holder_file.parent)
        except OSError as error:
            os.close(descriptor)
            raise _cannot_lock(self._journals, error) from error
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        holder = LockHolder(
            self._command, os.getpid(), socket.gethostname(), datetime.now(UTC).isoformat(timespec="seconds")
        )
        with suppress(OSError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            with os.fdopen(open_private(self._holder_file, flags), "w", encoding="utf-8") as stream:
                json.dump(holder._asdict(), stream)

    @property
    def is_valid(self) -> bool:
        """Whether the lock that is held is still that of the folder, which may have been removed and created again."""
        if self._descriptor is None:
            return False
        with suppress(OSError):
            return os.path.samestat(os.fstat(self._descriptor), self._journals.stat())
        return False

    def release(self) -> None:
        """Release the lock."""
        if self._descriptor is None:
            return
        with suppress(OSError):
            if self.is_valid:
                self._holder_file.unlink()
        os.close(self._descriptor)
        self._descriptor = None


@contextmanager
def folder_lock(journals: Path, bookkeeping: Path, command: str) -> Iterator[None]:
    """Hold the lock of a journal folder inside the block. Raises Locked, which names the holder."""
    lock = FolderLock(journals, bookkeeping, command)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def holder_of(journals: Path, bookkeeping: Path) -> LockHolder | None:
    """The process that holds the lock of a folder; None if no process does."""
    try:
        descriptor = _open_folder(journals)
    except OSError:
        return None
    try:
        # A killed holder leaves its name, but not the lock.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(journals, bookkeeping)
    except OSError:
        return None  # a file system without such locks
    finally:
        os.close(descriptor)
    return None


def _open_folder(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _holder(journals: Path, bookkeeping: Path) -> LockHolder:
    """The holder's own name; if it cannot be read here, what the kernel shows."""
    pid, user = _locking_process(journals)
    for folder in dict.fromkeys((bookkeeping, journals / BESIDE)):
        holder = read_holder(folder / _HOLDER)
        if holder is not None and pid in {None, holder.pid}:
            return holder
    return LockHolder("another process" if user is None else f"a process of the user {user}", pid, None, None)


def _locked(journals: Path, bookkeeping: Path) -> Locked:
    holder = _holder(journals, bookkeeping)
    hint = "Wait until it has ended, or stop it."
    return Locked(what=str(journals), holder=str(holder), hint=hint)


def _cannot_lock(journals: Path, error: OSError) -> ChatstoreError:
    what = f"Cannot lock {journals}: {error.strerror or error}."
    otherwise = "Move the journals to a file system that supports flock."
    return ChatstoreError(what=what, hint=access_hint(journals, error, otherwise))


def _locking_process(folder: Path) -> tuple[int | None, str | None]:
    """The process that holds the lock, and its user, as Linux lists them; None for what is not listed here."""
    with suppress(OSError, ValueError, IndexError):
        status = folder.stat()
        place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
        for line in _KERNEL_LOCKS.read_text(encoding="utf-8").splitlines():
            words = line.split()  # such as: 12: FLOCK ADVISORY WRITE 4711 fd:00:262145 0 EOF
            if words[1] == "FLOCK" and words[5] == place and int(words[4]) > 0:
                pid = int(words[4])
                return pid, user_name(Path(f"/proc/{pid}").stat().st_uid)
    return None, None


def read_holder(file: Path) -> LockHolder | None:
    """The process that a file names; None if it names none."""
    try:
        fields = json.loads(read_regular(file))
        return LockHolder(str(fields["command"]), int(fields["pid"]), str(fields["host"]), str(fields["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
