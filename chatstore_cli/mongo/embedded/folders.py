"""Where the embedded MongoDB lives: its data folder, its runtime folder, and the record of the running server."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from chatstore_cli.domain.errors import BadConfig, NotAllowed

# A socket's path has a fixed place in the kernel's structures: 108 bytes on Linux, 104 elsewhere, with the final zero.
LONGEST_SOCKET_PATH = 107 if sys.platform.startswith("linux") else 103
SOCKET_NAME = "mongod.sock"
# The server always makes this one as well, in the folder of --unixSocketPrefix (FACTS A). It is the longer of the two.
SECOND_SOCKET_NAME = "mongodb-27017.sock"
RECORD_NAME = "server.json"
_OUR_NAMES = {RECORD_NAME, "db", "mongod.log", "mongod.log.1", "start.lock", "server.lock", "lost+found"}


@dataclass(frozen=True)
class Folders:
    """The two folders and what is in them."""

    data: Path
    runtime: Path

    @property
    def database(self) -> Path:
        """The server's own files."""
        return self.data / "db"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.data / "mongod.log"

    @property
    def lock(self) -> Path:
        """Held while the server is started or stopped."""
        return self.data / "start.lock"

    @property
    def life(self) -> Path:
        """Locked by the server itself for as long as it lives."""
        return self.data / "server.lock"

    @property
    def socket(self) -> Path:
        """Where the server listens."""
        return self.runtime / SOCKET_NAME

    @property
    def second_socket(self) -> Path:
        """The socket that the server makes unasked."""
        return self.runtime / SECOND_SOCKET_NAME


@dataclass(frozen=True)
class Record:
    """What the starter of the running server left for the commands after it, in the data folder.

    It names the socket, so that a command with another environment (cron has no XDG_RUNTIME_DIR) finds the same server.
    Device and inode tell a folder that was moved, which is still this server's, from a copy, which is not.
    """

    pid: int
    socket: str
    started_at: float
    version: str
    binary: str | None
    device: int
    inode: int


def data_folder(data_dir: str | Path | None) -> Path:
    """The data folder, absolute, whether it is there or not; None is the platform's folder for a user's data."""
    if data_dir is not None:
        return Path(os.path.abspath(Path(data_dir).expanduser()))  # noqa: PTH100 - Path.absolute() would keep `..`
    import platformdirs

    return platformdirs.user_data_path("chatstore") / "mongodb"


def runtime_folder(data: Path, runtime_dir: str | Path | None) -> Path:
    """The folder for the sockets: short, ours alone, named after the data folder. It need not be there yet.

    Raises BadConfig where a folder that was asked for cannot be used, or where there is none.
    """
    from hashlib import sha256

    name = sha256(os.fsencode(os.path.realpath(data))).hexdigest()[:10]
    if runtime_dir is not None:
        parent = Path(os.path.abspath(Path(runtime_dir).expanduser()))  # noqa: PTH100 - as in data_folder
        folder = parent / f"chatstore-{name}"
        problem = _unfit(folder)
        if problem:
            raise BadConfig(where="mongo.embedded.runtime_dir", what=f"{parent} {problem}.")
        return folder
    for folder in _default_runtime_folders(name):
        if not _unfit(folder) and folder.parent.is_dir() and os.access(folder.parent, os.W_OK | os.X_OK):
            return folder
    raise BadConfig(
        where="mongo.embedded.runtime_dir",
        what="no temporary folder with a short path can be written.",
        hint="Set it to a folder whose path is at most 60 bytes long.",
    )


def _default_runtime_folders(name: str) -> Iterator[Path]:
    own = os.environ.get("XDG_RUNTIME_DIR", "")
    if own.startswith("/"):
        yield Path(own) / f"chatstore-{name}"
    import tempfile

    for shared in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        yield Path(shared) / f"chatstore-{os.getuid()}-{name}"


def _unfit(folder: Path) -> str | None:
    if len(os.fsencode(folder / SECOND_SOCKET_NAME)) > LONGEST_SOCKET_PATH:
        return f"is too long: a socket's path has at most {LONGEST_SOCKET_PATH} bytes"
    # mongod splits what it is told to bind at commas, and takes what follows a colon for a port.
    if any(sign in "," or sign in ":" or sign.isspace() or not sign.isprintable() for sign in str(folder)):
        return "holds a comma, colon or blank, which mongod takes for something else"
    return None


def prepare(folders: Folders) -> None:
    """Make both folders, for us alone. Raises BadConfig or NotAllowed for one that is someone else's or in use."""
    _make_own(folders.data, "mongo.embedded.data_dir")
    strangers = {entry.name for entry in folders.data.iterdir()} - _OUR_NAMES
    if strangers and not folders.database.is_dir():
        raise BadConfig(
            where="mongo.embedded.data_dir",
            what=f"{folders.data} holds other files ({min(strangers)}).",
            hint="Name an empty folder, or one that does not exist yet.",
        )
    # Only now: the mode of a folder full of someone's other files is not ours to change.
    _close_to_others(folders.data, "mongo.embedded.data_dir")
    folders.database.mkdir(mode=0o700, exist_ok=True)
    _make_own(folders.runtime, "mongo.embedded.runtime_dir")
    _close_to_others(folders.runtime, "mongo.embedded.runtime_dir")


def _make_own(folder: Path, key: str) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise BadConfig(where=key, what=f"{folder} is a symbolic link.", hint="Name the folder that it points to.")
    if not stat.S_ISDIR(found.st_mode):
        raise BadConfig(where=key, what=f"{folder} is no folder.")
    if found.st_uid != os.getuid():
        raise NotAllowed(
            what=f"{folder} belongs to another user (uid {found.st_uid}).",
            hint=f"Set {key} to a folder of your own.",
        )


def _close_to_others(folder: Path, key: str) -> None:
    if stat.S_IMODE(folder.lstat().st_mode) != 0o700:
        folder.chmod(0o700)
    if stat.S_IMODE(folder.lstat().st_mode) & 0o077:
        raise NotAllowed(
            what=f"{folder} can be read by other users, and its file system cannot change that.",
            hint=f"Set {key} to a folder on another file system.",
        )


def uri_of(socket_path: str) -> str:
    """The URI of a server on this unix socket."""
    from urllib.parse import quote

    return f"mongodb://{quote(socket_path, safe='')}/?directConnection=true"


def read_record(data: Path) -> Record | None:
    """The record, where there is one that was made for this very folder."""
    try:
        record = Record(**json.loads((data / RECORD_NAME).read_bytes()))
        folder = data.stat()
    except (OSError, ValueError, TypeError):
        return None
    return record if (record.device, record.inode) == (folder.st_dev, folder.st_ino) else None


def write_record(data: Path, record: Record) -> None:
    """Replace the record as a whole."""
    path = data / RECORD_NAME
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(json.dumps(asdict(record)), encoding="utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def forget_server(folders: Folders) -> None:
    """Take away what a server that has ended left: record and sockets, and the runtime folder when it is empty."""
    (folders.data / RECORD_NAME).unlink(missing_ok=True)
    for leftover in (folders.socket, folders.second_socket):
        leftover.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folders.runtime.rmdir()


def size_bytes(data: Path) -> int:
    """What the data folder takes of its disk."""
    total = 0
    for folder, _, names in os.walk(data):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512  # noqa: PTH118 - thousands of files
            except OSError:
                continue
    return total
