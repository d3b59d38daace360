"""Reading a journal: blocks of whole lines from a file, a compressed file or standard input, with their offsets."""

from __future__ import annotations

import gzip
import hashlib
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, cast

from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.journal import Position
from chatstore_cli.domain.storing import Block, OversizedLine, Piece
from chatstore_cli.files import journal_lines

BLOCK = 1024 * 1024
LINE_LIMIT = 100 * 1024 * 1024
"""A line above this cannot become a document of 16 MiB, however it is escaped; it is never held in memory whole."""

_FINGERPRINT = 4096


class JournalFile:
    """One journal, by the path under which the ledger and the quarantine know it."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.name = "stdin" if path is None else str(path)
        self.compressed = path is not None and path.suffix == ".gz"

        self.resumable = path is not None and not self.compressed
        self.decode = journal_lines.loads
        self._seen: tuple[int, bytes] | None = None  # the file's inode and its first bytes when it was last looked at

    def decode_flaw(self, line: bytes) -> str:
        """Why a line does not decode, in words."""
        return journal_lines.decode_flaw(line)

    def lost_digits(self, line: bytes) -> bool:
        """Whether decoding lost digits of an integer."""
        return journal_lines.lost_digits(line)

    def salvage(self, line: bytes) -> Iterator[Piece]:
        """What a damaged line holds whole, and what is left of it."""
        return journal_lines.salvage(line)

    def size(self) -> int:
        """Bytes on disk; 0 for standard input, and for a file that has gone."""
        try:
            return 0 if self.path is None else self.path.stat().st_size
        except OSError:
            return 0

    def blocks(self, start: int = 0) -> Iterator[Block | OversizedLine]:
        """The lines from a byte offset on, which must be the beginning of one."""
        try:
            with self._open() as stream:
                self._look(stream, start)
                if start:
                    stream.seek(start)
                # Of a compressed file, all that comes before a damage is wanted: read() would throw its part away.
                yield from _blocks(cast(gzip.GzipFile, stream).read1 if self.compressed else stream.read, start)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ChatstoreError(
                what=f"{self.name}: the compressed file is damaged or cut off: {error}",
                hint="What came before the damage has been read; restore the file and run it again.",
            ) from error
        except OSError as error:
            raise ChatstoreError(what=f"{self.name}: {error.strerror or error}") from error

    def pieces(self, offset: int, length: int) -> Iterator[bytes]:
        """The bytes of a stretch, in pieces. Raises ChatstoreError for standard input, which is gone once read."""
        if self.path is None:
            raise ChatstoreError(
                what=f"stdin: the line at byte {offset} is over {LINE_LIMIT >> 20} MiB and cannot be kept from a pipe.",
                hint="Give the journal as a file.",
            )
        with self._open() as stream:
            stream.seek(offset)
            while length > 0 and (piece := stream.read(min(BLOCK, length))):
                length -= len(piece)
                yield piece

    def position_at(self, offset: int, records: int, latest: str) -> Position | None:
        """The position with the fingerprints that will tell whether the file is still the same.

        None for standard input, and where the path has another file by now than the one that was read.
        """
        if self.path is None:
            return None
        try:
            with self.path.open("rb") as stream:
                if self._seen is None or not _is_same(stream, *self._seen):
                    return None
                end = os.fstat(stream.fileno()).st_size if self.compressed else offset
                return Position(end, records, latest, *_fingerprints(stream, end))
        except OSError:
            return None

    def still_at(self, position: Position) -> bool:
        """Whether the file still has the bytes that the position was taken over, as far as fingerprints tell.

        For a compressed file: whether it is the whole that was done before.
        """
        if self.path is None:
            return False
        try:
            with self.path.open("rb") as stream:
                size = os.fstat(stream.fileno()).st_size
                if size < position.offset or (self.compressed and size != position.offset):
                    return False
                self._seen = _glance(stream)
                return _fingerprints(stream, position.offset) == (position.head, position.tail)
        except OSError:
            return False

    def _look(self, stream: IO[bytes], start: int) -> None:
        if self.path is None:
            return
        if start and not (self._seen and _is_same(stream, *self._seen)):
            raise ChatstoreError(what=f"{self.name}: the file was replaced just now.", hint="Run it again.")
        self._seen = _glance(stream)

    def _open(self) -> IO[bytes]:
        if self.path is None:
            if sys.stdin is None:
                raise ChatstoreError(what="stdin is closed.", hint="Pipe a journal into it, or name a file.")
            os.set_blocking(sys.stdin.fileno(), True)  # else "nothing yet" would read as its end
            return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)
        if self.compressed:
            return cast(IO[bytes], gzip.open(self.path, "rb"))
        return self.path.open("rb", buffering=0)


def _glance(stream: IO[bytes]) -> tuple[int, bytes]:
    descriptor = stream.fileno()
    return os.fstat(descriptor).st_ino, os.pread(descriptor, _FINGERPRINT, 0)


def _is_same(stream: IO[bytes], inode: int, beginning: bytes) -> bool:
    now, first = _glance(stream)
    return now == inode and first.startswith(beginning)


def _fingerprints(stream: IO[bytes], end: int) -> tuple[str, str]:
    descriptor, length = stream.fileno(), min(_FINGERPRINT, end)
    head = b"%d:" % os.fstat(descriptor).st_ino + os.pread(descriptor, length, 0)
    tail = os.pread(descriptor, length, end - length)
    return hashlib.blake2b(head, digest_size=12).hexdigest(), hashlib.blake2b(tail, digest_size=12).hexdigest()


def _blocks(read: Callable[[int], bytes], offset: int) -> Iterator[Block | OversizedLine]:
    rest: list[bytes] = []  # the beginning of a line whose end has not been read yet
    rest_length = 0
    while chunk := read(BLOCK):
        if b"\n" not in chunk:
            rest_length += len(chunk)
            # Beyond the limit the pieces are let go; the length alone tells where the line ends.
            rest = [*rest, chunk] if rest_length <= LINE_LIMIT else []
            continue
        if rest_length > LINE_LIMIT:
            end = chunk.index(b"\n")
            yield OversizedLine(offset, rest_length + end, complete=True)
            offset += rest_length + end + 1
            chunk = chunk[end + 1 :]
            rest = []
        whole = b"".join([*rest, chunk])
        lines = whole.split(b"\n")
        last = lines.pop()
        if lines:
            yield Block(offset, lines)
            offset += len(whole) - len(last)
        rest, rest_length = [last], len(last)
    if rest_length > LINE_LIMIT:
        yield OversizedLine(offset, rest_length, complete=False)
    elif rest_length:
        yield Block(offset, [b"".join(rest)], complete=False)
