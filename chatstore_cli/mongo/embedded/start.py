"""Starting the embedded mongod: its process, socket and replica set, and the reason of a failure."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pymongo.errors import PyMongoError

from chatstore_cli.core.regular_files import open_regular
from chatstore_cli.domain.errors import ChatstoreError, Locked, Overdue, Unreachable
from chatstore_cli.mongo.embedded import log as mongod_log
from chatstore_cli.mongo.embedded.binary import exit_text, find_mongod
from chatstore_cli.mongo.embedded.folders import Folders, Record, prepare, remove_traces, uri_of, write_record
from chatstore_cli.mongo.embedded.process import acquire_lock, exit_status, is_alive, listener, remember_child, wait_for
from chatstore_cli.mongo.embedded.replica_set import make_primary

REPLICA_SET = "rs0"
START_SECONDS = 120.0  # recovery after a crash reads the whole journal
PRIMARY_SECONDS = 30.0
MIN_FREE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class StartingServer:
    """A server that is starting. Its own log lines begin at byte `log_from`. `binary` is None if it was adopted."""

    pid: int
    log_from: int
    binary: Path | None = None


def launch(folders: Folders, say: Callable[[str], None]) -> StartingServer:
    """Start the process. Raises BinaryMissing, or Unreachable if the disk is full."""
    if shutil.disk_usage(folders.data).free < MIN_FREE_BYTES:
        raise disk_full(folders.data)
    binary = find_mongod()
    say(f"Starting the embedded MongoDB {binary.version} (data in {folders.data})")
    remove_traces(folders)
    prepare(folders)
    mongod_log.rotate(folders.log)
    log_from = mongod_log.size(folders.log)
    arguments = {
        "--dbpath": folders.database,
        "--bind_ip": folders.socket,
        "--unixSocketPrefix": folders.runtime,
        "--replSet": REPLICA_SET,
        "--oplogSize": 256,
        "--wiredTigerCacheSizeGB": 0.5,
        "--setParameter": "diagnosticDataCollectionEnabled=false",
    }
    words = [str(word) for pair in arguments.items() for word in pair]
    try:
        server_lock = acquire_lock(folders.server_lock)
    except BlockingIOError as error:
        raise Locked(what=str(folders.data), holder="another mongod", hint="Stop that mongod first.") from error
    # The server inherits only its lock: no terminal, no pipe (`db start | cat` must end), and no signals of the terminal.
    # Its working folder is the data folder, which identifies the server after the folder was moved.
    try:
        log_flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        with os.fdopen(open_regular(folders.log, log_flags), "ab") as log:
            process = subprocess.Popen(
                [str(binary.path), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folders.data,
                umask=0o077,
                start_new_session=True,
                pass_fds=(server_lock,),
            )
    finally:
        os.close(server_lock)
    remember_child(process)
    return StartingServer(process.pid, log_from, binary.path)


def finish(folders: Folders, starting: StartingServer) -> None:
    """Wait until the server accepts writes, and write the record by which later commands find it."""
    _wait_for_socket(folders, starting)
    try:
        version = make_primary(uri_of(str(folders.socket)), str(folders.socket), REPLICA_SET, seconds=PRIMARY_SECONDS)
    except PyMongoError as error:
        if not is_alive(starting.pid):
            raise _failed(folders, starting) from error
        what = f"The embedded MongoDB runs but does not accept writes: {str(error)[:300]}"
        raise Unreachable(what=what, hint=f"See its log {folders.log}.") from error
    status = folders.data.stat()
    write_record(
        folders.data,
        Record(
            pid=starting.pid,
            socket=str(folders.socket),
            started_at=time.time(),
            version=version,
            binary=str(starting.binary) if starting.binary is not None else None,
            device=status.st_dev,
            inode=status.st_ino,
        ),
    )


def _wait_for_socket(folders: Folders, starting: StartingServer) -> None:
    def is_listening() -> bool | None:
        peer = listener(folders.socket)
        if peer is not None and peer.may_be(starting.pid):
            return True
        if not is_alive(starting.pid):
            raise _failed(folders, starting)
        return None

    if wait_for(is_listening, START_SECONDS) is None:
        raise Overdue(
            what=f"The embedded MongoDB (process {starting.pid}) has not started within {START_SECONDS:.0f} s.",
            hint=f"It may be recovering after a crash: try again later, or run chatstore db stop. See its log {folders.log}.",
        )


def _failed(folders: Folders, starting: StartingServer) -> ChatstoreError:
    """The error of a server that ended, with mongod's own reason."""
    reason = mongod_log.reason(folders.log, starting.log_from)
    if "No space left" in reason or shutil.disk_usage(folders.data).free < 1024 * 1024:
        return disk_full(folders.data)
    if "featureCompatibilityVersion" in reason or "unsupported WiredTiger file version" in reason:
        return Unreachable(
            what=f"The data in {folders.data} were written by another version of MongoDB: {reason}",
            hint="Set CHATSTORE_MONGOD to a mongod of that version, or mongo.embedded.data_dir to another folder.",
        )
    if "DBPathInUse" in reason:
        return Locked(what=str(folders.data), holder="another mongod", hint="Stop that mongod first.")
    status = exit_status(starting.pid)
    reason = reason or (exit_text(status) if status is not None else "it ended without a reason")
    return Unreachable(what=f"The embedded MongoDB did not start: {reason}", hint=f"See its log {folders.log}.")


def disk_full(data: Path) -> ChatstoreError:
    """The error for a full disk of the data folder."""
    what = f"The embedded MongoDB cannot start: the disk of {data} is full."
    return Unreachable(what=what, hint="Free disk space, or set mongo.embedded.data_dir to a folder on another disk.")
