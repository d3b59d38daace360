"""What commands need of the system around them: new files, and the meaning of errors that no adapter caught."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from chatstore_cli.domain.errors import ChatstoreError


def new_file(path: str, *, force: bool, private: bool = False) -> AbstractContextManager[BinaryIO]:
    """A file to be written to, which appears whole when the block ends well. Raises Conflict where there is one."""
    from chatstore_cli.files.new_file import new_file as appearing

    return appearing(Path(path), force=force, private=private)


def translate_stray(error: Exception) -> ChatstoreError | None:
    """The error of ours for a driver's or the system's error that no adapter caught; None for a bug."""
    if "pymongo" in sys.modules:  # else it cannot be the driver's, and an error must not cost its import
        from chatstore_cli.mongo.connection import is_driver_error, translate

        if is_driver_error(error):
            return translate(error, "MongoDB")
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return ChatstoreError(what=f"{where}{error.strerror}")
    return None
