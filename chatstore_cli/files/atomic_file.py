"""A new file, whole or not at all: written beside its place, then put there in one step."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from chatstore_cli.domain.errors import ChatstoreError, Conflict, NotAllowed, NotFound, WrongUse

_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def new_file(path: Path, *, force: bool, private: bool = False) -> Iterator[BinaryIO]:
    """A file to be written to, which appears at `path` when the block ends well, and not at all otherwise.

    A `private` one can be read by its owner alone. With `force` it takes the place of a file that is there; a link is
    followed first. Raises Conflict where something is there already and `force` is not given, WrongUse where that is
    no file, NotFound where the folder is missing, NotAllowed and ChatstoreError where it cannot be written.
    """
    path = path.resolve() if force else path
    if force and path.exists() and not path.is_file():
        raise WrongUse(what=f"{path} is no ordinary file, and is not replaced by one.")
    if not force and os.path.lexists(path):
        raise _taken(path)
    if not path.parent.is_dir():
        raise NotFound(kind_of_thing="folder", name=str(path.parent), where="", hint="Make it first.")
    try:
        yield from _written_beside(path, force, private)
    except OSError as error:
        reason = f"{path} cannot be written: {error.strerror or error}"
        if error.errno in _FORBIDDEN:
            raise NotAllowed(what=reason, hint="Nothing was written there; name another file.") from error
        raise ChatstoreError(what=reason, hint="Nothing was left there.") from error


def _written_beside(path: Path, force: bool, private: bool) -> Iterator[BinaryIO]:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:80]}.", dir=path.parent)
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            if not private:
                os.fchmod(stream.fileno(), 0o666 & ~_umask())  # mkstemp gives 0600
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        if force or not _linked(beside, path):
            beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _linked(beside: Path, path: Path) -> bool:
    """Put the file there unless one has come meanwhile, which a rename would replace; False where links do not work."""
    try:
        path.hardlink_to(beside)
    except FileExistsError as error:
        raise _taken(path) from error
    except OSError as error:
        if os.path.lexists(path):
            raise _taken(path) from error
        return False
    return True


def _taken(path: Path) -> Conflict:
    return Conflict(what=f"{path} exists already.", hint="Name another file, or overwrite it with --force.")


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
