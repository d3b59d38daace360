"""The embedded MongoDB's data folder, its runtime folder, and the record of the running server."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from chatstore_cli.core.regular_files import read_regular
from chatstore_cli.domain.errors import BadConfig, NotAllowed

# The kernel's structures have a fixed length for a socket's path: 108 bytes on Linux, 104 elsewhere, with the final zero.
LONGEST_SOCKET_PATH = 107 if sys.platform.startswith("linux") else 103
SOCKET_NAME = "mongod.sock"
# The server always creates this socket too, in the folder of --unixSocketPrefix. Its path is the longer one.
SECOND_SOCKET_NAME = "mongodb-27017.sock"
RECORD_NAME = "server.json"
_OUR_NAMES = {RECORD_NAME, "db", "db.removed", "mongod.log", "mongod.log.1", "start.lock", "server.lock", "lost+found"}


class Folders:
    """The two folders and the files in them."""

    def __init__(self, data: Path, runtime: Path) -> None:
        self.data = data
        self.database = data / "db"
        self.removed = data / "db.removed"  # a database while it is deleted
        self.log = data / "mongod.log"
        self.start_lock = data / "start.lock"  # held while the server is started or stopped
        self.server_lock = data / "server.lock"  # held by the server itself as long as it runs
        self.runtime = runtime
        self.socket = runtime / SOCKET_NAME
        self.second_socket = runtime / SECOND_SOCKET_NAME


@dataclass(frozen=True)
class Record:
    """The facts about the running server that its starter writes into the data folder for later commands.

    It contains the socket, so that a command with another environment (cron has no XDG_RUNTIME_DIR) finds the same server.
    Device and inode distinguish a moved folder, which still belongs to this server, from a copy, which does not.
    """

    pid: int
    socket: str
    started_at: float
    version: str
    binary: str | None
    device: int
    inode: int


def data_folder(data_dir: str | Path | None) -> Path:
    """The absolute path of the data folder, which need not exist. None: the platform's folder for user data."""
    if data_dir is not None:
        return Path(os.path.abspath(Path(data_dir).expanduser()))  # noqa: PTH100 - Path.absolute() would keep `..`
    import platformdirs

    return platformdirs.user_data_path("chatstore") / "mongodb"


def runtime_folder(data: Path, runtime_dir: str | Path | None) -> Path:
    """The folder for the sockets: a short path, private, named after the data folder. It need not exist yet.

    Raises BadConfig if the configured folder cannot be used, or if no default folder can.
    """
    from hashlib import sha256

    name = sha256(os.fsencode(os.path.realpath(data))).hexdigest()[:10]
    if runtime_dir is not None:
        parent = Path(os.path.abspath(Path(runtime_dir).expanduser()))  # noqa: PTH100 - as in data_folder
        folder = parent / f"chatstore-{name}"
        if problem := _problem_of(folder):
            raise BadConfig(where="mongo.embedded.runtime_dir", what=f"{parent} {problem}.")
        return folder
    for folder in _default_runtime_folders(name):
        if not _problem_of(folder) and folder.parent.is_dir() and os.access(folder.parent, os.W_OK | os.X_OK):
            return folder
    raise BadConfig(
        where="mongo.embedded.runtime_dir",
        what="there is no writable temporary folder with a short path.",
        hint="Set it to a folder whose path has at most 60 bytes.",
    )


def _default_runtime_folders(name: str) -> Iterator[Path]:
    own = os.environ.get("XDG_RUNTIME_DIR", "")
    if own.startswith("/"):
        yield Path(own) / f"chatstore-{name}"
    import tempfile

    for shared in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        yield Path(shared) / f"chatstore-{os.getuid()}-{name}"


def _problem_of(folder: Path) -> str | None:
    if len(os.fsencode(folder / SECOND_SOCKET_NAME)) > LONGEST_SOCKET_PATH:
        return f"is too long: a socket's path may have at most {LONGEST_SOCKET_PATH} bytes"
    # mongod splits its bind addresses at commas, and reads a port after a colon.
    if any(char in ",:" or char.isspace() or not char.isprintable() for char in str(folder)):
        return "contains a comma, colon or blank, which mongod does not accept"
    return None


def prepare(folders: Folders) -> None:
    """Create both folders, private. Raises BadConfig or NotAllowed for a folder of another user or with other files."""
    _create_own(folders.data, "mongo.embedded.data_dir")
    other_files = {entry.name for entry in folders.data.iterdir()} - _OUR_NAMES
    if other_files and not folders.database.is_dir():
        raise BadConfig(
            where="mongo.embedded.data_dir",
            what=f"{folders.data} contains other files ({min(other_files)}).",
            hint="Set it to an empty folder, or to one that does not exist yet.",
        )
    # Only now: the mode of a folder with other files must not be changed.
    _make_private(folders.data, "mongo.embedded.data_dir")
    folders.database.mkdir(mode=0o700, exist_ok=True)
    _create_own(folders.runtime, "mongo.embedded.runtime_dir")
    _make_private(folders.runtime, "mongo.embedded.runtime_dir")


def _create_own(folder: Path, key: str) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    _check_own(folder, key)


def _check_own(folder: Path, key: str) -> None:
    status = folder.lstat()
    if stat.S_ISLNK(status.st_mode):
        raise BadConfig(where=key, what=f"{folder} is a symbolic link.", hint="Set it to the target of the link.")
    if not stat.S_ISDIR(status.st_mode):
        raise BadConfig(where=key, what=f"{folder} is not a folder.")
    if status.st_uid != os.getuid():
        what = f"{folder} belongs to another user (uid {status.st_uid})."
        raise NotAllowed(what=what, hint=f"Set {key} to a folder that you own.")


def _make_private(folder: Path, key: str) -> None:
    if stat.S_IMODE(folder.lstat().st_mode) != 0o700:
        folder.chmod(0o700)
    if stat.S_IMODE(folder.lstat().st_mode) & 0o077:
        what = f"{folder} can be read by other users, and its file system has no permissions."
        raise NotAllowed(what=what, hint=f"Set {key} to a folder on another file system.")


def uri_of(socket_path: str) -> str:
    """The URI of a server on this unix socket."""
    from urllib.parse import quote

    return f"mongodb://{quote(socket_path, safe='')}/?directConnection=true"


def read_record(data: Path) -> Record | None:
    """The record, if there is one that was written for this folder."""
    try:
        record = Record(**json.loads(read_regular(data / RECORD_NAME)))
        status = data.stat()
    except (OSError, ValueError, TypeError):
        return None
    return record if (record.device, record.inode) == (status.st_dev, status.st_ino) else None


def write_record(data: Path, record: Record) -> None:
    """Replace the record atomically."""
    path = data / RECORD_NAME
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(json.dumps(asdict(record)), encoding="utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def remove_traces(folders: Folders) -> None:
    """Delete what an ended server left: record, sockets, and the runtime folder if it is empty."""
    (folders.data / RECORD_NAME).unlink(missing_ok=True)
    for leftover in (folders.socket, folders.second_socket):
        leftover.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folders.runtime.rmdir()


def require_removable(folders: Folders) -> None:
    """Raise BadConfig or NotAllowed for a data folder of another user, or one that no embedded server has used."""
    _check_own(folders.data, "mongo.embedded.data_dir")
    if folders.database.is_symlink():
        what = f"{folders.database} is a symbolic link. Nothing was deleted."
        raise NotAllowed(what=what, hint="Delete its target and the link yourself.")
    if not folders.server_lock.exists():
        what = f"{folders.data} was not made by the embedded MongoDB. Nothing was deleted."
        raise NotAllowed(what=what, hint="Check mongo.embedded.data_dir (chatstore config show).")


def remove_data(folders: Folders) -> None:
    """Delete the files of an ended server, but not the start lock, which the caller holds.

    The database is renamed first: if this process is killed, no half of a database remains.
    """
    if folders.removed.exists():
        shutil.rmtree(folders.removed)
    if folders.database.exists():
        folders.database.rename(folders.removed)
        shutil.rmtree(folders.removed)
    remove_traces(folders)
    for file in (folders.log, folders.log.with_name(f"{folders.log.name}.1"), folders.server_lock):
        file.unlink(missing_ok=True)


def remove_folder(folders: Folders) -> None:
    """Delete the start lock, and the data folder if it has no other files."""
    folders.start_lock.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folders.data.rmdir()


def size_bytes(data: Path) -> int:
    """Disk space of the data folder in bytes."""
    total = 0
    for folder, _, names in os.walk(data):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512  # noqa: PTH118 - thousands of files
            except OSError:
                continue
    return total
