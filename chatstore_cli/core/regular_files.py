"""Opens regular files only, and never waits for it.

A pipe with the name of a journal or a configuration would keep an ordinary open() waiting for a writer, and a device
would be read without an end.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_NOT_REGULAR = "Not a regular file"


def open_regular(path: str | Path, flags: int = os.O_RDONLY) -> int:
    """The descriptor of a regular file; a file that the flags create is private. Raises OSError for anything else."""
    try:
        # Without waiting, and never as the controlling terminal. A regular file ignores both flags.
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket, or a pipe that nobody reads
            raise OSError(errno.EINVAL, _NOT_REGULAR, str(path)) from error
        raise
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, _NOT_REGULAR, str(path))


def regular_stream(path: str | Path, buffering: int = -1) -> BinaryIO:
    """A regular file, open for reading. Raises OSError for anything else."""
    return open(open_regular(path), "rb", buffering=buffering)


def read_regular(path: str | Path) -> bytes:
    """The content of a regular file. Raises OSError for anything else."""
    with regular_stream(path) as stream:
        return stream.read()
