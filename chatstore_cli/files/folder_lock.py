"""One process at a time follows a folder of journals; the other one is told who."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from chatstore_cli.domain.errors import ChatstoreError, Locked


@contextmanager
def folder_lock(journals: Path, remembering: Path, command: str) -> Iterator[None]:
    """Hold the lock of a journal folder. Raises Locked, naming the holder.

    The kernel lets go of the lock when the process ends, however it ends. The holder's name stands in a file beside
    it, for a lock file is emptied by whoever opens it.
    """
    named = remembering / "lock.holder"
    lock = FileLock(remembering / "lock", timeout=0, mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        raise Locked(what=str(journals), holder=_holder(named), hint="Wait until it has ended, or stop it.") from None
    except OSError as error:
        raise ChatstoreError(what=f"{remembering / 'lock'}: {error.strerror or error}") from error
    try:
        with suppress(OSError):
            named.write_text(
                json.dumps(
                    {
                        "pid": os.getpid(),
                        "host": socket.gethostname(),
                        "command": command,
                        "since": datetime.now(UTC).isoformat(timespec="seconds"),
                    }
                )
            )
        yield
    finally:
        with suppress(OSError):
            named.unlink()
        lock.release()


def _holder(named: Path) -> str:
    try:
        holder = json.loads(named.read_text())
        return f"{holder['command']} (process {holder['pid']} on {holder['host']}, since {holder['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
