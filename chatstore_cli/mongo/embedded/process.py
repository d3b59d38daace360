"""The mongod process of the embedded MongoDB: find it by its socket or its lock, and terminate it.

A process id alone proves nothing: after a crash it may belong to another program. A process is only terminated if it
listens on the socket in our own folder, or is a mongod whose working folder is our data folder.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from chatstore_cli.core.regular_files import open_regular

if TYPE_CHECKING:
    import subprocess

Result = TypeVar("Result")

_CONNECT_SECONDS = 2.0
_POLL_SECONDS = 0.01
_KILL_SECONDS = 10.0
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class Listener:
    """The process that listens on a unix socket, as reported by the kernel. None: not reported."""

    pid: int | None
    uid: int | None

    def may_be(self, pid: int) -> bool:
        """Whether this may be our process of that id. Another user's process took the path after ours was removed."""
        return self.pid in {None, pid} and self.uid in {None, os.getuid()}


def listener(path: str | Path) -> Listener | None:
    """The listener of the unix socket at this path, or None. Takes well under a millisecond."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_CONNECT_SECONDS)
        try:
            probe.connect(str(path))
        except (BlockingIOError, TimeoutError):
            return Listener(None, None)  # its queue is full: a server that hangs
        except OSError:
            return None
        return _peer(probe)


def _peer(connected: socket.socket) -> Listener:
    credentials = getattr(socket, "SO_PEERCRED", None)
    if credentials is not None:
        pid, uid, _ = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, credentials, 12))
        return Listener(pid or None, uid)  # 0: a process of another container
    if sys.platform == "darwin":
        sol_local, local_peerpid = 0, 2
        return Listener(connected.getsockopt(sol_local, local_peerpid) or None, None)
    return Listener(None, None)


def remember_child(process: subprocess.Popen[bytes]) -> None:
    """Remember a server that this process started, whose exit status must be collected by this process."""
    _children[process.pid] = process


def exit_status(pid: int) -> int | None:
    """The exit status of a server that this process started. None for other processes, and while it runs."""
    return _children[pid].poll() if pid in _children else None


def is_alive(pid: int) -> bool:
    """Whether a process of this id exists and has not ended."""
    if pid <= 0:
        return False
    if exit_status(pid) is not None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return True
    return not state or state[0] not in {"Z", "X"}


def acquire_lock(path: Path) -> int:
    """Lock the file and return its descriptor for a server to inherit. The kernel releases it when that server ends.

    Raises BlockingIOError while another server holds the lock.
    """
    import fcntl

    descriptor = open_regular(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def is_locked(path: Path) -> bool:
    """Whether a running server holds the lock."""
    try:
        os.close(acquire_lock(path))
    except BlockingIOError:
        return True
    return False


def works_in(pid: int, data: Path) -> bool:
    """Whether this process is an embedded mongod with its data in this folder, also after the folder was moved."""
    command = _command(pid)
    if " --unixSocketPrefix " not in command:
        return False
    try:
        return os.path.samefile(f"/proc/{pid}/cwd", data)  # noqa: PTH121 - a link of the kernel, not a path
    except OSError:
        return f" --dbpath {data / 'db'} " in command


def has_sockets_in(pid: int, runtime: Path) -> bool:
    """Whether this process is a mongod that was started with its sockets in this folder."""
    return f" --unixSocketPrefix {runtime} " in _command(pid)


def terminate(pid: int, *, seconds: float, kill: bool = False) -> bool:
    """Shut the process down cleanly and wait; with `kill`, kill it afterwards. Returns whether it has ended."""
    if not _send(pid, signal.SIGTERM) or _has_ended_within(pid, seconds):
        return True
    return kill and (not _send(pid, signal.SIGKILL) or _has_ended_within(pid, _KILL_SECONDS))


def wait_for(attempt: Callable[[], Result | None], seconds: float) -> Result | None:
    """The first result of `attempt` that is not None; None after that time."""
    deadline = time.monotonic() + seconds
    while (result := attempt()) is None:
        if time.monotonic() > deadline:
            return None
        time.sleep(_POLL_SECONDS)
    return result


def _send(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _has_ended_within(pid: int, seconds: float) -> bool:
    return wait_for(lambda: None if is_alive(pid) else True, seconds) is not None


def _command(pid: int) -> str:
    """The process's command line with a space before and after each word; empty if it cannot be read."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return " " + os.fsdecode(b" ".join(words)) + " "
    except OSError:
        if Path("/proc/self").exists():
            return ""
    import subprocess

    result = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, check=False)
    return f" {os.fsdecode(result.stdout).strip()} "
