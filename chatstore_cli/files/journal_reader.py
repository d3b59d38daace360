"""Reads a journal in blocks of whole lines: from a file, a compressed file or standard input."""

from __future__ import annotations

import gzip
import hashlib
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple, cast

from chatstore_cli.core.lru import LruMap
from chatstore_cli.core.regular_files import regular_stream
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.field_mapping import FieldMapping
from chatstore_cli.domain.journal import DOCUMENT_LIMIT, Position
from chatstore_cli.domain.message_store import Block, OversizedLine
from chatstore_cli.files import journal_lines
from chatstore_cli.files.journal_names import is_compressed
from chatstore_cli.files.ownership import access_hint

BLOCK = 1024 * 1024
LINE_LIMIT = 6 * DOCUMENT_LIMIT
"""Bytes. JSON has at most 6 bytes (`\\u0041`) for a byte of text, so a longer line cannot become a document of 16 MiB. It
is never held in memory whole."""

_FINGERPRINT = 4096
_TAILS_REMEMBERED = 256


class JournalFile:
    """One journal. `name` is its path, under which ledger and quarantine know it; `path` None is standard input."""

    decode = staticmethod(journal_lines.loads)
    padding = journal_lines.PADDING
    read = staticmethod(journal_lines.read_record)
    salvage = staticmethod(journal_lines.salvage)

    def __init__(self, path: Path | None, mapping: FieldMapping | None = None) -> None:
        """`mapping` is of a journal that another application writes."""
        self.path = path
        self.mapping_key = "" if mapping is None else mapping.key
        if mapping is not None:
            self.decode = partial(_decode_mapped, mapping=mapping)
            self.read = partial(journal_lines.read_record, mapping=mapping)
            self.salvage = partial(journal_lines.salvage, mapping=mapping)
        self.name = "stdin" if path is None else str(path)
        self.compressed = path is not None and is_compressed(path)
        self._opened: _OpenedFile | None = None
        self._tails: LruMap[int, str] = LruMap(_TAILS_REMEMBERED)  # by offset: fingerprints of the bytes before it
        self._before_start = b""

    def size(self) -> int:
        """Bytes on disk; 0 for standard input, and for a file that does not exist."""
        try:
            return 0 if self.path is None else self.path.stat().st_size
        except OSError:
            return 0

    def blocks(self, start: int = 0) -> Iterator[Block | OversizedLine]:
        """The lines from a byte offset on, at which a line must begin."""
        try:
            with self._open() as stream:
                self._remember_file(stream, start)
                if self.path is None:
                    yield from _blocks(stream.read, 0)
                elif self.compressed:
                    # read1 returns everything before a damaged part; read() would drop some of it.
                    yield from _blocks(cast(gzip.GzipFile, stream).read1, 0)
                else:
                    file = _GrowingFile(stream, self.name, start, self._before_start)
                    for block in _blocks(file.read, start):
                        end = _end_of(block)
                        self._tails.put(end, _digest(file.before(end)))
                        yield block
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            reason = "it is not a gzip file" if str(error).startswith("Not a gzipped file") else error
            raise ChatstoreError(
                what=f"{self.name}: the compressed file is damaged or cut off: {reason}",
                hint="The part before the damage has been read. Restore the file and run the command again.",
            ) from error
        except OSError as error:
            hint = None if self.path is None else access_hint(self.path, error, "Repair it, rename it, or remove it.")
            raise ChatstoreError(what=f"{self.name}: {error.strerror or error}", hint=hint) from error

    def pieces(self, offset: int, length: int) -> Iterator[bytes]:
        """The bytes of a part of the journal, in pieces. Raises ChatstoreError for standard input."""
        if self.path is None:
            raise ChatstoreError(
                what=f"stdin: the line at byte {offset} is over {LINE_LIMIT >> 20} MiB: standard input cannot be read again.",
                hint="Give the journal as a file.",
            )
        with self._open() as stream:
            stream.seek(offset)
            while length > 0 and (piece := stream.read(min(BLOCK, length))):
                length -= len(piece)
                yield piece

    def position_at(self, offset: int, records: int, latest: str) -> Position | None:
        """A position with fingerprints of the file; None for standard input.

        None, too, if the path has another file by now than the one that was read.
        """
        if self.path is None:
            return None
        try:
            with regular_stream(self.path) as stream:
                if self._opened is None or not self._opened.may_be(stream):
                    return None
                end = offset
                if self.compressed:
                    end = self._opened.size
                    if os.fstat(stream.fileno()).st_size != end:
                        return None  # it has grown: the new part has not been read
                tail = self._tails.get(end) or _digest(_before(stream, end))
                return Position(end, records, latest, _head(stream, end), tail)
        except OSError:
            return None

    def still_at(self, position: Position) -> bool:
        """Whether the file still has the bytes that the position has passed, as far as fingerprints show.

        A compressed file must be the same as a whole.
        """
        if self.path is None:
            return False
        try:
            with regular_stream(self.path) as stream:
                size = os.fstat(stream.fileno()).st_size
                if size < position.offset or (self.compressed and size != position.offset):
                    return False
                self._opened = _OpenedFile.of(stream)
                tail = _before(stream, position.offset)
                self._before_start = b"" if self.compressed else tail
                return (_head(stream, position.offset), _digest(tail)) == (position.head, position.tail)
        except OSError:
            return False

    def _remember_file(self, stream: IO[bytes], start: int) -> None:
        if self.path is None:
            return
        if start == 0:
            self._before_start = b""
        elif not (self._opened and self._opened.may_be(stream)):
            raise ChatstoreError(what=f"{self.name}: the file was replaced.", hint="Run the command again.")
        self._opened = _OpenedFile.of(stream)

    def _open(self) -> IO[bytes]:
        if self.path is None:
            if sys.stdin is None:
                raise ChatstoreError(what="stdin is closed.", hint="Pipe a journal into it, or name a file.")
            os.set_blocking(sys.stdin.fileno(), True)  # else a pause of the writer would look like the end
            return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)
        if self.compressed:
            return cast(IO[bytes], _Uncompressed(self.path))
        return regular_stream(self.path, buffering=0)


class _Uncompressed(gzip.GzipFile):
    """The content of a compressed file, which is closed with it."""

    def __init__(self, path: Path) -> None:
        self._file = regular_stream(path)
        super().__init__(fileobj=self._file)

    def close(self) -> None:
        super().close()
        self._file.close()


def _decode_mapped(line: bytes, mapping: FieldMapping) -> object:
    value = journal_lines.loads(line)
    return mapping.apply(value) if type(value) is dict else value


class _OpenedFile(NamedTuple):
    """A file as it was when it was opened last. `beginning` is the fingerprint of its first `length` bytes."""

    inode: int
    size: int
    length: int
    beginning: str

    @classmethod
    def of(cls, stream: IO[bytes]) -> _OpenedFile:
        status = os.fstat(stream.fileno())
        first = os.pread(stream.fileno(), _FINGERPRINT, 0)
        return cls(status.st_ino, status.st_size, len(first), _digest(first))

    def may_be(self, stream: IO[bytes]) -> bool:
        """Whether it can be the same file, which may have grown."""
        descriptor = stream.fileno()
        same = os.fstat(descriptor).st_ino == self.inode
        return same and _digest(os.pread(descriptor, self.length, 0)) == self.beginning


def _head(stream: IO[bytes], end: int) -> str:
    descriptor = stream.fileno()
    return _digest(b"%d:" % os.fstat(descriptor).st_ino + os.pread(descriptor, min(_FINGERPRINT, end), 0))


def _before(stream: IO[bytes], end: int) -> bytes:
    length = min(_FINGERPRINT, end)
    return os.pread(stream.fileno(), length, end - length)


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=12).hexdigest()


class _GrowingFile:
    """A file that may only grow while it is read. `tail` is what was read before `start`.

    If the file were truncated and rewritten meanwhile, reading would continue in the middle of other lines. So each read
    checks that the bytes before it have not changed.
    """

    def __init__(self, stream: IO[bytes], name: str, start: int, tail: bytes) -> None:
        self._stream = stream
        self._name = name
        self._offset = start
        self._chunk = b""
        self._tail = tail
        stream.seek(start)

    def read(self, size: int) -> bytes:
        """The next bytes. Raises ChatstoreError if the bytes before them have changed."""
        tail = self.before(self._offset)
        chunk = self._stream.read(size)
        if os.pread(self._stream.fileno(), len(tail), self._offset - len(tail)) != tail:
            what = f"{self._name}: the file was changed while it was read."
            raise ChatstoreError(what=what, hint="Run the command again.")
        self._offset += len(chunk)
        self._chunk, self._tail = chunk, tail
        return chunk

    def before(self, end: int) -> bytes:
        """The bytes before an offset, which is in the last piece or at its end."""
        within = end - (self._offset - len(self._chunk))
        if within >= _FINGERPRINT:
            return self._chunk[within - _FINGERPRINT : within]
        return (self._tail + self._chunk[:within])[-_FINGERPRINT:]


def _end_of(block: Block | OversizedLine) -> int:
    if isinstance(block, OversizedLine):
        return block.offset + block.length + block.complete
    return block.offset + sum(map(len, block.lines)) + len(block.lines) - (not block.complete)


def _blocks(read: Callable[[int], bytes], offset: int) -> Iterator[Block | OversizedLine]:
    rest: list[bytes] = []  # the beginning of a line whose end has not been read yet
    rest_length = 0
    while chunk := read(BLOCK):
        if b"\n" not in chunk:
            rest_length += len(chunk)
            # Beyond the limit the pieces are dropped; the length is enough to find the end of the line.
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
