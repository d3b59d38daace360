"""A new file that appears whole or not at all: it is written under another name, then renamed."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from chatstore_cli.domain.errors import ChatstoreError, Conflict, NotAllowed, NotFound, WrongUse

_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def new_file(path: Path, *, force: bool, private: bool = False) -> Iterator[BinaryIO]:
    """A file to be written, which appears at `path` if the block ends without an error, and not otherwise.

    Only its owner can read a `private` file. With `force` it replaces an existing file; a link is followed first. Raises
    WrongUse if the path is a folder, a pipe or a device, Conflict if it exists and `force` is false, NotFound if its
    folder does not exist, NotAllowed and ChatstoreError if the file cannot be written.
    """
    path = path.resolve() if force else path
    mode = _mode(path)
    if stat.S_ISDIR(mode):
        raise WrongUse(what=f"{path} is a folder.", hint="Name a file.")
    if mode and not stat.S_ISREG(mode):
        raise WrongUse(what=f"{path} is not a regular file, so it is not replaced.", hint="Name another file.")
    if not force and os.path.lexists(path):
        raise _exists(path)
    if not path.parent.is_dir():
        raise NotFound(kind_of_thing="folder", name=str(path.parent), where="", hint="Create it first.")
    try:
        yield from _write_beside(path, force, private)
    except OSError as error:
        reason = f"Cannot write {path}: {error.strerror or error}"
        if error.errno in _FORBIDDEN:
            raise NotAllowed(what=reason, hint="Nothing was written. Name another file.") from error
        raise ChatstoreError(what=reason, hint="Nothing was written.") from error


def _write_beside(path: Path, force: bool, private: bool) -> Iterator[BinaryIO]:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:80]}.", dir=path.parent)
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            if not private:
                os.fchmod(stream.fileno(), 0o666 & ~_umask())  # mkstemp gives 0600
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        if force or not _link(beside, path):
            beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _link(beside: Path, path: Path) -> bool:
    """Link the file to the path, unless the path exists by now: a rename would replace it. False if links do not work."""
    try:
        path.hardlink_to(beside)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        if os.path.lexists(path):
            raise _exists(path) from error
        return False
    return True


def _exists(path: Path) -> Conflict:
    return Conflict(what=f"{path} already exists.", hint="Name another file, or overwrite it with --force.")


def _mode(path: Path) -> int:
    """What the path is, as in `st_mode`; 0 if it does not exist or cannot be looked up."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return 0


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
