"""The mongod process behind the embedded MongoDB: who listens, who lives, and ending it.

A process id alone proves nothing: after a crash it may be another program's. What is ended here either listens on the
socket in our own folder, or is a mongod that works in our data folder.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

_CONNECT_WITHIN_SECONDS = 2.0
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class Listener:
    """Who listens on a unix socket, as the kernel knows it; None where it does not tell."""

    pid: int | None
    uid: int | None

    def may_be(self, pid: int) -> bool:
        """Whether this is that process of ours: another user's is an impostor on a path that was swept away."""
        return self.pid in {None, pid} and self.uid in {None, os.getuid()}


def listener(path: str | Path) -> Listener | None:
    """Who listens on the unix socket at this path; None where no one does. Takes well under a millisecond."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_CONNECT_WITHIN_SECONDS)
        try:
            probe.connect(str(path))
        except (BlockingIOError, TimeoutError):
            return Listener(None, None)  # its queue is full: a server that hangs, but one that is there
        except OSError:
            return None
        return _peer(probe)


def _peer(connected: socket.socket) -> Listener:
    credentials = getattr(socket, "SO_PEERCRED", None)
    if credentials is not None:
        pid, uid, _ = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, credentials, 12))
        return Listener(pid or None, uid)  # 0: it lives in another container
    if sys.platform == "darwin":
        sol_local, local_peerpid = 0, 2
        return Listener(connected.getsockopt(sol_local, local_peerpid) or None, None)
    return Listener(None, None)


def remember_child(process: subprocess.Popen[bytes]) -> None:
    """A server that this very process started: when it ends, it stays in the process table until it is asked for."""
    _children[process.pid] = process


def exit_status(pid: int) -> int | None:
    """How a server that this process started ended; None for others, and while it runs."""
    return _children[pid].poll() if pid in _children else None


def is_alive(pid: int) -> bool:
    """Whether there is a process of this id that has not ended."""
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


def hold(path: Path) -> int:
    """Lock the file and give its descriptor, for a server to inherit: the kernel lets go when that server has ended.

    Raises BlockingIOError while another one holds it.
    """
    import fcntl

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def is_held(path: Path) -> bool:
    """Whether a living server holds the lock."""
    try:
        os.close(hold(path))
    except BlockingIOError:
        return True
    return False


def works_in(pid: int, data: Path) -> bool:
    """Whether this process is a mongod of ours whose data are in this folder, also when the folder was moved."""
    command = _command(pid)
    if " --unixSocketPrefix " not in command:
        return False
    try:
        return os.path.samefile(f"/proc/{pid}/cwd", data)  # noqa: PTH121 - a link of the kernel's, not a path
    except OSError:
        return f" --dbpath {data / 'db'} " in command


def listens_for_us(pid: int, runtime: Path) -> bool:
    """Whether this process is a mongod that was started with its sockets in this folder."""
    return f" --unixSocketPrefix {runtime} " in _command(pid)


def end(pid: int, *, seconds: float, kill: bool = False) -> bool:
    """Ask it to shut down cleanly and wait; with `kill`, kill it when it has not by then. Whether it has ended."""
    if not _send(pid, signal.SIGTERM) or _wait_for_end(pid, seconds):
        return True
    if not kill:
        return False
    return not _send(pid, signal.SIGKILL) or _wait_for_end(pid, 10.0)


def _send(pid: int, what: signal.Signals) -> bool:
    try:
        os.kill(pid, what)
    except ProcessLookupError:
        return False
    return True


def _wait_for_end(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while is_alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _command(pid: int) -> str:
    """Its command line, a blank before and after each word; empty where that cannot be read."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return " " + os.fsdecode(b" ".join(words)) + " "
    except OSError:
        if Path("/proc/self").exists():
            return ""
    import subprocess

    answer = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, check=False)
    return f" {os.fsdecode(answer.stdout).strip()} "
