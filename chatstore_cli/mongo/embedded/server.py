"""The embedded MongoDB: a real mongod that the first command starts and every later one finds (DESIGN section 7).

A replica set of one (so that transactions and change streams work), on a unix socket alone, detached from whoever
started it. Finding a running one costs a read and a connect; nothing of the driver is loaded for it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from chatstore_cli.domain.embedded import EmbeddedStatus
from chatstore_cli.domain.errors import BinaryMissing, ChatstoreError, Locked, Overdue, Unreachable
from chatstore_cli.mongo.embedded.folders import (
    Folders,
    Record,
    data_folder,
    forget_server,
    prepare,
    read_record,
    runtime_folder,
    size_bytes,
    uri_of,
)
from chatstore_cli.mongo.embedded.process import end, is_alive, is_held, listener, listens_for_us, works_in

_TELLS_ITS_ID_WITHIN_SECONDS = 20.0
_LOCKED_FOR_AT_MOST_SECONDS = 160.0  # longer than a start may take


def ensure_running(
    data_dir: str | Path | None = None,
    runtime_dir: str | Path | None = None,
    *,
    say: Callable[[str], None] | None = None,
) -> str:
    """The URI of the running server, which is started where there is none. Raises as start() does."""
    data = data_folder(data_dir)
    record = _running(data)
    if record is None:
        start(data_dir, runtime_dir, say=say)
        record = _running(data)
    if record is None:
        raise Unreachable(
            what=f"The embedded MongoDB ended right after its start; its log is {data / 'mongod.log'}.",
            hint="Run the command again, or see chatstore db status.",
        )
    return uri_of(record.socket)


def start(
    data_dir: str | Path | None = None,
    runtime_dir: str | Path | None = None,
    *,
    say: Callable[[str], None] | None = None,
) -> bool:
    """Start the server and wait until it takes writes; False where it was running already.

    Raises BinaryMissing where no mongod runs here, BadConfig or NotAllowed for folders that cannot be used, Unreachable
    with the reason in mongod's own words where it ends at once, Overdue where it is not ready within two minutes.
    """
    data = data_folder(data_dir)
    if _running(data) is not None:
        return False
    if os.name != "posix":
        from chatstore_cli.mongo.embedded.binary import THREE_WAYS

        raise BinaryMissing(what="The embedded MongoDB needs Linux or another POSIX system.", hint=THREE_WAYS)
    with _system_errors_told(data):
        folders = Folders(data, runtime_folder(data, runtime_dir))
        prepare(folders)
        with _alone(folders):
            return _running(data) is None and _start_or_adopt(folders, say or _silent)


def stop(
    data_dir: str | Path | None = None,
    runtime_dir: str | Path | None = None,
    *,
    seconds: float = 60.0,
    kill: bool = False,
) -> bool:
    """Shut the server down cleanly and wait; False where none was running.

    `kill` kills it when it has not ended after `seconds`; without, that raises Overdue.
    """
    data = data_folder(data_dir)
    if not data.is_dir():
        return False
    with _system_errors_told(data):
        record = read_record(data)
        folders = Folders(data, Path(record.socket).parent if record else runtime_folder(data, runtime_dir))
        with _alone(folders):
            pid = _process(folders)
            if pid is not None and not end(pid, seconds=seconds, kill=kill):
                raise Overdue(
                    what=f"The embedded MongoDB (process {pid}) has not shut down within {seconds:g} s.",
                    hint="Wait, or end it at once with chatstore db stop --force (the next start recovers the data).",
                )
            forget_server(folders)
            return pid is not None


def status(data_dir: str | Path | None = None) -> EmbeddedStatus:
    """What there is of it. Makes and starts nothing."""
    data = data_folder(data_dir)
    record = _running(data)
    began = datetime.fromtimestamp(record.started_at, UTC) if record else None
    return EmbeddedStatus(
        running=record is not None,
        version=record.version if record else None,
        socket=record.socket if record else None,
        data_folder=str(data),
        size_bytes=size_bytes(data),
        uptime_seconds=max(0.0, (datetime.now(UTC) - began).total_seconds()) if began else None,
        pid=record.pid if record else None,
        started_at=began,
        binary=record.binary if record else None,
        log=str(data / "mongod.log"),
    )


@dataclass(frozen=True)
class EmbeddedServer:
    """The embedded MongoDB of one configuration: the functions above with its folders filled in."""

    data_dir: str | None
    runtime_dir: str | None
    say: Callable[[str], None]

    def start(self) -> bool:
        """Start it; False where it was running already."""
        return start(self.data_dir, self.runtime_dir, say=self.say)

    def stop(self, *, seconds: float, kill: bool) -> bool:
        """Shut it down; False where it was not running."""
        return stop(self.data_dir, self.runtime_dir, seconds=seconds, kill=kill)

    def status(self) -> EmbeddedStatus:
        """What there is of it."""
        return status(self.data_dir)


def _silent(_text: str) -> None:
    """Where no one wants to hear."""


def _running(data: Path) -> Record | None:
    """The record of a server that is up and belongs to this folder: the way of nearly every command."""
    record = read_record(data)
    if record is None:
        return None
    found = listener(record.socket)
    return record if found is not None and found.may_be(record.pid) else None


def _start_or_adopt(folders: Folders, say: Callable[[str], None]) -> bool:
    """Bring a server up while holding the lock; False where one was up that only had no record."""
    from chatstore_cli.mongo.embedded.start import Starting, finish, launch

    pid = _left_over(folders, say)
    try:
        finish(folders, Starting(pid, log_from=0) if pid is not None else launch(folders, say))
    except ChatstoreError:
        if _process(folders) is None:
            forget_server(folders)
        raise
    return pid is None


def _left_over(folders: Folders, say: Callable[[str], None]) -> int | None:
    """A server without a valid record: one whose starter died is taken over, one that no one can reach is ended."""
    pid = _process(folders)
    if pid is None:
        return None
    found = listener(folders.socket)
    reachable = found is not None and found.may_be(pid)
    record = read_record(folders.data)
    was_ready = record is not None and record.pid == pid
    if works_in(pid, folders.data) and (reachable or not was_ready):
        return pid
    # Its socket was swept away, or its data folder was moved or deleted under it.
    say(f"Restarting the embedded MongoDB: process {pid} has lost its socket or its data folder.")
    if not end(pid, seconds=30.0):
        raise Overdue(
            what=f"An earlier embedded MongoDB (process {pid}) does not shut down.",
            hint="chatstore db stop --force ends it.",
        )
    return None


def _process(folders: Folders) -> int | None:
    """The process that is this folder's server, ready or not; None where there is none."""
    deadline = time.monotonic() + _TELLS_ITS_ID_WITHIN_SECONDS
    while True:
        found = listener(folders.socket)
        if found is not None and found.pid is not None and listens_for_us(found.pid, folders.runtime):
            return found.pid
        record = read_record(folders.data)
        for pid in (_pid_in_lock(folders), record.pid if record is not None else 0):
            if is_alive(pid) and works_in(pid, folders.data):
                return pid
        # One lives, but its starter was killed before either of them had written its process id anywhere.
        if not is_held(folders.life) or time.monotonic() > deadline:
            return None
        time.sleep(0.01)


def _pid_in_lock(folders: Folders) -> int:
    """The process that mongod's own lock file names; 0 where there is none. It is empty after a clean end."""
    try:
        return int((folders.database / "mongod.lock").read_text(encoding="ascii").strip() or 0)
    except (OSError, ValueError):
        return 0


@contextlib.contextmanager
def _alone(folders: Folders) -> Iterator[None]:
    """Hold the lock under which the server is started and stopped. Raises Locked when it is not free in time."""
    from filelock import FileLock, Timeout

    lock = FileLock(folders.lock, timeout=_LOCKED_FOR_AT_MOST_SECONDS)
    try:
        lock.acquire(poll_interval=0.02)
    except Timeout as error:
        holder = "another command that starts or stops the embedded MongoDB"
        raise Locked(what=str(folders.data), holder=holder, hint="Try again when it has ended.") from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _system_errors_told(data: Path) -> Iterator[None]:
    """The system's errors about the folders, each as one line."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            from chatstore_cli.mongo.embedded.start import no_room

            raise no_room(data) from error
        raise Unreachable(
            what=f"The embedded MongoDB cannot use {error.filename or data}: {error.strerror or error}.",
            hint="Set mongo.embedded.data_dir or mongo.embedded.runtime_dir to a folder of your own.",
        ) from error
