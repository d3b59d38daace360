"""A new file, whole or not at all: written beside its place, then put there in one step."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from chatstore_cli.domain.errors import Conflict


@contextmanager
def new_file(path: Path, *, force: bool) -> Iterator[BinaryIO]:
    """A file to be written to, which appears at `path` when the block ends well, and not at all otherwise.

    Raises Conflict where something is there already, unless `force`; OSError where it cannot be written.
    """
    taken = Conflict(what=f"{path} exists already.", hint="Name another file, or overwrite it with --force.")
    if not force and os.path.lexists(path):
        raise taken
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:80]}.", dir=path.parent)
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), 0o666 & ~_umask())  # mkstemp's 0600 is for secrets; this is an ordinary file
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        if not force:
            try:
                path.hardlink_to(beside)  # fails where a file has come there meanwhile; a rename would replace it
            except FileExistsError as error:
                raise taken from error
            except OSError:  # a file system without hard links
                if os.path.lexists(path):
                    raise taken from None
            else:
                return
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
