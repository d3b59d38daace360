"""The embedded MongoDB: a real mongod that the first command starts and every later one finds.

It is a replica set of one (so that transactions and change streams work) that listens only on a unix socket, detached
from its starter. Finding a running server costs a read and a connect, and imports nothing of the driver.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from chatstore_cli.core.regular_files import read_regular
from chatstore_cli.domain.embedded import EmbeddedStatus
from chatstore_cli.domain.errors import BinaryMissing, ChatstoreError, Locked, Overdue, Unreachable
from chatstore_cli.mongo.embedded.folders import (
    Folders,
    Record,
    data_folder,
    prepare,
    read_record,
    remove_data,
    remove_folder,
    remove_traces,
    require_removable,
    runtime_folder,
    size_bytes,
    uri_of,
)
from chatstore_cli.mongo.embedded.process import (
    has_sockets_in,
    is_alive,
    is_locked,
    listener,
    terminate,
    wait_for,
    works_in,
)

_PROCESS_ID_SECONDS = 20.0
_RESTART_SECONDS = 30.0
_LOCK_SECONDS = 160.0  # longer than a start may take


@dataclass(frozen=True)
class EmbeddedServer:
    """The embedded MongoDB of two folders; None is the platform's default. `say` prints notices."""

    data_dir: str | Path | None
    runtime_dir: str | Path | None
    say: Callable[[str], None] = lambda _: None

    def ensure_running(self) -> str:
        """The URI of the running server, which is started if necessary. Raises as start() does."""
        data = data_folder(self.data_dir)
        record = _running(data)
        if record is None:
            self.start()
            record = _running(data)
        if record is None:
            what = f"The embedded MongoDB ended right after its start; its log is {data / 'mongod.log'}."
            raise Unreachable(what=what, hint="Run the command again, or see chatstore db status.")
        return uri_of(record.socket)

    def start(self) -> bool:
        """Start the server and wait until it accepts writes. Returns False if it was running already.

        Raises BinaryMissing if no mongod runs on this machine, BadConfig or NotAllowed for unusable folders, Unreachable
        with mongod's own reason if it ends, and Overdue if it is not ready within two minutes.
        """
        data = data_folder(self.data_dir)
        if _running(data) is not None:
            return False
        if os.name != "posix":
            from chatstore_cli.mongo.embedded.binary import SOLUTIONS

            raise BinaryMissing(what="The embedded MongoDB needs Linux or another POSIX system.", hint=SOLUTIONS)
        with _translated_errors(data):
            folders = Folders(data, runtime_folder(data, self.runtime_dir))
            prepare(folders)
            with _exclusive(folders):
                return _running(data) is None and _start_or_adopt(folders, self.say)

    def stop(self, *, seconds: float = 60.0, kill: bool = False) -> bool:
        """Shut the server down cleanly and wait. Returns False if it was not running.

        If it has not ended after `seconds`, `kill` kills it; otherwise that raises Overdue.
        """
        data = data_folder(self.data_dir)
        if not data.is_dir():
            return False
        with _translated_errors(data):
            record = read_record(data)
            folders = Folders(data, Path(record.socket).parent if record else runtime_folder(data, self.runtime_dir))
            with _exclusive(folders):
                pid = _process(folders)
                if pid is not None and not terminate(pid, seconds=seconds, kill=kill):
                    raise Overdue(
                        what=f"The embedded MongoDB (process {pid}) has not shut down within {seconds:g} s.",
                        hint="Wait, or kill it with chatstore db stop --force (the next start recovers the data).",
                    )
                remove_traces(folders)
                return pid is not None

    def check_removable(self) -> None:
        """Raise NotAllowed or BadConfig for a folder that remove() would not delete."""
        data = data_folder(self.data_dir)
        with _translated_errors(data):
            if data.is_dir():
                require_removable(Folders(data, runtime_folder(data, self.runtime_dir)))

    def remove(self) -> bool:
        """Shut the server down and delete its data. Returns False if there is none.

        Raises as stop() does, and NotAllowed or BadConfig for a folder that the embedded MongoDB has not made.
        """
        data = data_folder(self.data_dir)
        if not data.is_dir():
            return False
        self.check_removable()
        self.stop()
        with _translated_errors(data):
            folders = Folders(data, runtime_folder(data, self.runtime_dir))
            with _exclusive(folders):
                if _process(folders) is not None:
                    raise Locked(what=str(data), holder="a server that was started meanwhile", hint="Try again.")
                remove_data(folders)
            remove_folder(folders)
        return True

    def status(self) -> EmbeddedStatus:
        """The state of the server and its folders. Creates and starts nothing."""
        data = data_folder(self.data_dir)
        record = _running(data)
        started_at = datetime.fromtimestamp(record.started_at, UTC) if record else None
        return EmbeddedStatus(
            running=record is not None,
            version=record.version if record else None,
            socket=record.socket if record else None,
            uri=uri_of(record.socket) if record else None,
            data_folder=str(data),
            size_bytes=size_bytes(data),
            uptime_seconds=max(0.0, (datetime.now(UTC) - started_at).total_seconds()) if started_at else None,
            pid=record.pid if record else None,
            started_at=started_at,
            binary=record.binary if record else None,
            log=str(data / "mongod.log"),
        )


def _running(data: Path) -> Record | None:
    """The record of a running server of this folder: nearly every command needs only this."""
    record = read_record(data)
    if record is None:
        return None
    peer = listener(record.socket)
    return record if peer is not None and peer.may_be(record.pid) else None


def _start_or_adopt(folders: Folders, say: Callable[[str], None]) -> bool:
    """Start a server while holding the lock. Returns False if a running server only had no record."""
    from chatstore_cli.mongo.embedded.start import StartingServer, finish, launch

    pid = _adoptable(folders, say)
    try:
        finish(folders, StartingServer(pid, log_from=0) if pid is not None else launch(folders, say))
    except ChatstoreError:
        if _process(folders) is None:
            remove_traces(folders)
        raise
    return pid is None


def _adoptable(folders: Folders, say: Callable[[str], None]) -> int | None:
    """A running server without a valid record, whose starter died. A server that cannot be reached is terminated."""
    pid = _process(folders)
    if pid is None:
        return None
    peer = listener(folders.socket)
    is_reachable = peer is not None and peer.may_be(pid)
    record = read_record(folders.data)
    was_ready = record is not None and record.pid == pid
    if works_in(pid, folders.data) and (is_reachable or not was_ready):
        return pid
    # Its socket was deleted, or its data folder was moved or deleted while it ran.
    say(f"Restarting the embedded MongoDB: process {pid} has lost its socket or its data folder.")
    if not terminate(pid, seconds=_RESTART_SECONDS):
        what = f"An earlier embedded MongoDB (process {pid}) does not shut down."
        raise Overdue(what=what, hint="Run chatstore db stop --force.")
    return None


def _process(folders: Folders) -> int | None:
    """The process that is this folder's server, ready or not; None if there is none."""

    def attempt() -> int | None:
        peer = listener(folders.socket)
        if peer is not None and peer.pid is not None and has_sockets_in(peer.pid, folders.runtime):
            return peer.pid
        record = read_record(folders.data)
        for pid in (_pid_in_lock(folders), record.pid if record is not None else 0):
            if is_alive(pid) and works_in(pid, folders.data):
                return pid
        # If the lock is held, a server runs whose starter was killed before either wrote the process id anywhere.
        return None if is_locked(folders.server_lock) else 0

    return wait_for(attempt, _PROCESS_ID_SECONDS) or None


def _pid_in_lock(folders: Folders) -> int:
    """The process id in mongod's own lock file; 0 if there is none. The file is empty after a clean shutdown."""
    try:
        return int(read_regular(folders.database / "mongod.lock").strip() or 0)
    except (OSError, ValueError):
        return 0


@contextlib.contextmanager
def _exclusive(folders: Folders) -> Iterator[None]:
    """Hold the lock under which the server is started and stopped. Raises Locked if it is not free in time."""
    from filelock import FileLock, Timeout

    lock = FileLock(folders.start_lock, timeout=_LOCK_SECONDS)
    try:
        lock.acquire(poll_interval=0.02)
    except Timeout as error:
        holder = "another command that starts or stops the embedded MongoDB"
        raise Locked(what=str(folders.data), holder=holder, hint="Try again after it has ended.") from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _translated_errors(data: Path) -> Iterator[None]:
    """Translate the system's errors about the folders."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            from chatstore_cli.mongo.embedded.start import disk_full

            raise disk_full(data) from error
        raise Unreachable(
            what=f"The embedded MongoDB cannot use {error.filename or data}: {error.strerror or error}.",
            hint="Set mongo.embedded.data_dir or mongo.embedded.runtime_dir to a folder that you own.",
        ) from error
