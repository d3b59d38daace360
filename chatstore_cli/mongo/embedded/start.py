"""Starting the embedded mongod: the process, its socket, its replica set, and the reason where it fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pymongo.errors import PyMongoError

from chatstore_cli.domain.errors import ChatstoreError, Locked, Overdue, Unreachable
from chatstore_cli.mongo.embedded import log as mongod_log
from chatstore_cli.mongo.embedded.binary import find_mongod, how_it_ended
from chatstore_cli.mongo.embedded.folders import Folders, Record, forget_server, prepare, uri_of, write_record
from chatstore_cli.mongo.embedded.process import exit_status, hold, is_alive, listener, remember_child
from chatstore_cli.mongo.embedded.replica_set import make_primary

REPLICA_SET = "rs0"
STARTS_WITHIN_SECONDS = 120.0  # recovery after a crash reads the whole journal
PRIMARY_WITHIN_SECONDS = 30.0
NEEDED_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Starting:
    """A server on its way up. `log_from` is where its own lines begin in the log; `binary` None: someone else's."""

    pid: int
    log_from: int
    binary: Path | None = None


def launch(folders: Folders, say: Callable[[str], None]) -> Starting:
    """Start the process. Raises BinaryMissing, or Unreachable where the disk is full."""
    if shutil.disk_usage(folders.data).free < NEEDED_BYTES:
        raise no_room(folders.data)
    binary = find_mongod()
    say(f"Starting the embedded MongoDB {binary.version} (data in {folders.data})")
    forget_server(folders)
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
        life = hold(folders.life)
    except BlockingIOError as error:
        raise Locked(what=str(folders.data), holder="another mongod", hint="Stop that one first.") from error
    # Nothing of ours is passed on: no terminal, no pipe (`db start | cat` must end), no signal of the terminal's; only
    # the lock that tells that it lives. Its working folder is the data folder, by which it is known when that is moved.
    try:
        with folders.log.open("ab") as log:
            process = subprocess.Popen(
                [str(binary.path), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folders.data,
                umask=0o077,
                start_new_session=True,
                pass_fds=(life,),
            )
    finally:
        os.close(life)
    remember_child(process)
    return Starting(process.pid, log_from, binary.path)


def finish(folders: Folders, starting: Starting) -> None:
    """Wait until it takes writes, and leave the record by which later commands find it."""
    _wait_for_socket(folders, starting)
    try:
        version = make_primary(
            uri_of(str(folders.socket)), str(folders.socket), REPLICA_SET, seconds=PRIMARY_WITHIN_SECONDS
        )
    except PyMongoError as error:
        if not is_alive(starting.pid):
            raise _failed(folders, starting) from error
        raise Unreachable(
            what=f"The embedded MongoDB runs but takes no writes: {str(error)[:300]}",
            hint=f"Its log is {folders.log}.",
        ) from error
    folder = folders.data.stat()
    write_record(
        folders.data,
        Record(
            pid=starting.pid,
            socket=str(folders.socket),
            started_at=time.time(),
            version=version,
            binary=str(starting.binary) if starting.binary is not None else None,
            device=folder.st_dev,
            inode=folder.st_ino,
        ),
    )


def _wait_for_socket(folders: Folders, starting: Starting) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_SECONDS
    while True:
        found = listener(folders.socket)
        if found is not None and found.may_be(starting.pid):
            return
        if not is_alive(starting.pid):
            raise _failed(folders, starting)
        if time.monotonic() > deadline:
            raise Overdue(
                what=f"The embedded MongoDB (process {starting.pid}) is still starting after"
                f" {STARTS_WITHIN_SECONDS:.0f} s.",
                hint=f"It may be recovering after a crash: try again later. Its log is {folders.log}; chatstore db stop"
                " ends it.",
            )
        time.sleep(0.01)


def _failed(folders: Folders, starting: Starting) -> ChatstoreError:
    """Why it ended: mongod's own words, or what we know to be behind them."""
    reason = mongod_log.reason(folders.log, starting.log_from)
    if "No space left" in reason or shutil.disk_usage(folders.data).free < 1024 * 1024:
        return no_room(folders.data)
    if "featureCompatibilityVersion" in reason or "unsupported WiredTiger file version" in reason:
        return Unreachable(
            what=f"The data in {folders.data} were written by another version of MongoDB: {reason}",
            hint="Name a mongod of that version in CHATSTORE_MONGOD, or another folder in mongo.embedded.data_dir.",
        )
    if "DBPathInUse" in reason:
        return Locked(what=str(folders.data), holder="another mongod", hint="Stop that one first.")
    status = exit_status(starting.pid)
    reason = reason or (how_it_ended(status) if status is not None else "it ended without a word")
    return Unreachable(what=f"The embedded MongoDB did not start: {reason}", hint=f"Its log is {folders.log}.")


def no_room(data: Path) -> ChatstoreError:
    """The disk of the data folder is full."""
    return Unreachable(
        what=f"The embedded MongoDB cannot start: the disk of {data} is full.",
        hint="Free some space there, or name a folder on another disk in mongo.embedded.data_dir.",
    )
