"""A log file from its end on, as it was when the reading began."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from chatstore_cli.domain.errors import NotFound, WrongUse

_AT_ONCE = 1024 * 1024
_MOST = 64 * 1024 * 1024
_LONGEST_LINE = 64 * 1024


class LogTail:
    """The lines that are added to a file. One that was rotated, or cut off, goes on from its new beginning."""

    def __init__(self, path: Path) -> None:
        """Remember the end. Raises NotFound where there is no such file, WrongUse where it is none that grows."""
        self._path = path
        self._rest = b""
        try:
            found = path.stat()
        except FileNotFoundError as error:
            hint = "Give the file that the application logs to."
            raise NotFound(kind_of_thing="log file", name=str(path), where="", hint=hint) from error
        if not stat.S_ISREG(found.st_mode):
            raise WrongUse(what=f"--log {path} is no regular file.", hint="Give the file that the application logs to.")
        with path.open("rb"):  # whether it may be read is better known before anything is sent
            pass
        self._inode, self._offset = found.st_ino, found.st_size

    @property
    def name(self) -> str:
        """The file."""
        return str(self._path)

    def read(self, words: Sequence[str]) -> list[str]:
        """Those of the lines that came since the last call which hold one of the words; 64 MiB at a time."""
        wanted = [word.encode() for word in words]
        try:
            with self._path.open("rb") as stream:
                found = os.fstat(stream.fileno())
                if found.st_ino != self._inode or found.st_size < self._offset:
                    self._inode, self._offset, self._rest = found.st_ino, 0, b""
                stream.seek(self._offset)
                lines: list[bytes] = []
                length = 0
                while length < _MOST and (piece := stream.read(_AT_ONCE)):
                    length += len(piece)
                    *whole, self._rest = (self._rest + piece).split(b"\n")
                    self._rest = self._rest[-_LONGEST_LINE:]
                    lines += [line for line in whole if any(word in line for word in wanted)]
                self._offset += length
        except FileNotFoundError:  # between two files, while it is rotated
            return []
        return [line.decode("utf-8", "replace") for line in lines]


class LogTails:
    """Several logs as one: an application and a worker that is a service of its own write one each."""

    def __init__(self, tails: Sequence[LogTail]) -> None:
        self._tails = tails

    @property
    def name(self) -> str:
        """The files."""
        return ", ".join(tail.name for tail in self._tails)

    def read(self, words: Sequence[str]) -> list[str]:
        """As for one of them; of each the lines in their order."""
        return [line for tail in self._tails for line in tail.read(words)]
