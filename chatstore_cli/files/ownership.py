"""Who owns a file or a process: in words for errors, and for files that root makes in another user's folder."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from chatstore_cli.core.regular_files import open_regular


def user_name(user_id: int) -> str:
    """The name of a user, or its number if it has no name here."""
    import pwd

    with suppress(KeyError):
        return pwd.getpwuid(user_id).pw_name
    return str(user_id)


def described_access(path: Path) -> str:
    """A sentence that names the user of this process and the owner of a path, or of the nearest folder that exists."""
    for place in (path, *path.parents):
        with suppress(OSError):
            status = place.stat()
            mode = stat.S_IMODE(status.st_mode)
            me = user_name(os.geteuid())
            return f"{place} belongs to {user_name(status.st_uid)} (mode {mode:04o}), and this process runs as {me}."
    return ""


def access_hint(path: Path, error: OSError, otherwise: str | None = None) -> str | None:
    """For an error about permissions: whom the path belongs to, and what to do. Else `otherwise`."""
    if error.errno not in {errno.EACCES, errno.EPERM}:
        return otherwise
    return f"{described_access(path)} Run the command as its owner, or grant access.".lstrip()


def open_private(path: str | Path, flags: int) -> int:
    """The descriptor of a regular file. If the flags create it, it is private and belongs to the owner of its folder."""
    if flags & os.O_CREAT:
        with suppress(FileExistsError):
            # Only a file that is new here changes its owner: in a folder of others, a name may be a link to anything.
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            _give_to_owner_of(Path(path).parent, descriptor)
    return open_regular(path, flags)


def make_private_folder(folder: Path) -> None:
    """Create a private folder, unless it exists. It belongs to the owner of the folder above it."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return
    if os.geteuid() == 0:
        _give_to_owner_of(folder.parent, os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC))


def _give_to_owner_of(folder: Path, descriptor: int) -> None:
    """If root runs a command in another user's folder, that user must not be locked out of what it leaves."""
    try:
        if os.geteuid() == 0:
            status = folder.stat()
            with suppress(OSError):
                os.fchown(descriptor, status.st_uid, status.st_gid)
    finally:
        os.close(descriptor)
