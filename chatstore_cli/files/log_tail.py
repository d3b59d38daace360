"""The lines that are added to a log file."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from chatstore_cli.core.regular_files import regular_stream
from chatstore_cli.domain.errors import NotFound, WrongUse

_BLOCK = 1024 * 1024
_MOST_BYTES = 64 * 1024 * 1024
_LONGEST_LINE = 64 * 1024


class LogTail:
    """The lines that are added to a file. After a rotation or a truncation, reading continues at the new beginning."""

    def __init__(self, path: Path) -> None:
        """Remember the end of the file. Raises NotFound if it does not exist, WrongUse if it is not a regular file."""
        self._path = path
        self._rest = b""
        try:
            found = path.stat()
        except FileNotFoundError as error:
            hint = "Give the file that the application logs to."
            raise NotFound(kind_of_thing="log file", name=str(path), where="", hint=hint) from error
        if not stat.S_ISREG(found.st_mode):
            raise WrongUse(
                what=f"--log {path} is not a regular file.", hint="Give the file that the application logs to."
            )
        with regular_stream(path):  # fails now, and not after messages were sent, if it cannot be read
            pass
        self._inode, self._offset = found.st_ino, found.st_size

    @property
    def name(self) -> str:
        """The file's path."""
        return str(self._path)

    def read(self, words: Sequence[str]) -> list[str]:
        """The lines since the last call that contain one of the words. Reads at most 64 MiB."""
        encoded = [word.encode() for word in words]
        try:
            with regular_stream(self._path) as stream:
                found = os.fstat(stream.fileno())
                if found.st_ino != self._inode or found.st_size < self._offset:
                    self._inode, self._offset, self._rest = found.st_ino, 0, b""
                stream.seek(self._offset)
                lines: list[bytes] = []
                length = 0
                while length < _MOST_BYTES and (piece := stream.read(_BLOCK)):
                    length += len(piece)
                    *whole, self._rest = (self._rest + piece).split(b"\n")
                    self._rest = self._rest[-_LONGEST_LINE:]
                    lines += [line for line in whole if any(word in line for word in encoded)]
                self._offset += length
        except FileNotFoundError:  # during a rotation the path has no file for a moment
            return []
        return [line.decode("utf-8", "replace") for line in lines]


class LogTails:
    """Several logs as one: an application and its worker may write one each."""

    def __init__(self, tails: Sequence[LogTail]) -> None:
        self._tails = tails

    @property
    def name(self) -> str:
        """The files' paths."""
        return ", ".join(tail.name for tail in self._tails)

    def read(self, words: Sequence[str]) -> list[str]:
        """The lines since the last call that contain one of the words, file by file."""
        return [line for tail in self._tails for line in tail.read(words)]
