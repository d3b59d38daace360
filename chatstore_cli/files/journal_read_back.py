"""Reading back the lines of a journal that were too many for memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from chatstore_cli.domain.recording import Place, ReadBack, Stretch
from chatstore_cli.files import journal_lines
from chatstore_cli.files.journal_reader import LINE_LIMIT

_SMALLEST = 64 * 1024


def read_back(stretch: Stretch, lines: int, about_bytes: int) -> ReadBack | None:
    """At most `lines` lines from the beginning of a stretch, of about so many bytes, one at least; None where its file
    is gone.

    Raises OSError where it is there and cannot be read. A file that was renamed meanwhile, as a rotation does, is found
    beside its old place; of one that was cut, what is left is read.
    """
    descriptor = _opened(stretch)
    if descriptor is None:
        return None
    try:
        size = os.fstat(descriptor).st_size
        if size <= stretch.start:
            return ReadBack([], None)
        stretch = stretch._replace(end=min(stretch.end, size))
        length = max(about_bytes, _SMALLEST)
        while True:
            wanted = min(length, stretch.end - stretch.start)
            read = os.pread(descriptor, wanted, stretch.start)
            end = read.rfind(b"\n") + 1
            if end or wanted == stretch.end - stretch.start or len(read) < wanted:  # the last: cut just now
                break
            length *= 4  # one long line
        return _decoded(stretch, read[:end] if end else read, lines)
    finally:
        os.close(descriptor)


def _decoded(stretch: Stretch, read: bytes, most: int) -> ReadBack:
    lines: list[tuple[Place, dict[str, Any]]] = []
    offset, number = stretch.start, stretch.number
    for line in read.removesuffix(b"\n").split(b"\n", most)[:most]:
        with suppress(ValueError):  # damaged ones are not ours: flush-cache quarantines them
            fields = journal_lines.loads(line)
            if isinstance(fields, dict):
                lines.append((Place(stretch.source, stretch.file, number, offset, len(line)), fields))
        offset += len(line) + 1
        number += 1
    if offset >= stretch.end:
        return ReadBack(lines, None)
    return ReadBack(lines, stretch._replace(start=offset, number=number))


def _opened(stretch: Stretch) -> int | None:
    for path in _places(Path(stretch.source)):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        if os.fstat(descriptor).st_ino == stretch.file:
            return descriptor
        os.close(descriptor)
    return None


def _places(path: Path) -> Iterator[Path]:
    yield path
    with suppress(OSError):
        names = os.listdir(path.parent)  # noqa: PTH208 - there may be a journal for each of many sessions
        yield from (path.with_name(name) for name in sorted(names) if name.startswith(f"{path.name}."))


def newest(path: Path, count: int) -> list[tuple[int, dict[str, Any]]]:
    """The newest `count` lines of a journal, oldest first, each with its number; damaged ones are left out.

    Only the end of the file is decoded, and at most about LINE_LIMIT of it read. Where it was not read from its
    beginning, numbers count back from 0: they order the lines, and say no more.
    """
    try:
        with path.open("rb", buffering=0) as stream:
            at = stream.seek(0, os.SEEK_END)
            tail = b""
            while at and tail.count(b"\n") <= count and len(tail) <= LINE_LIMIT:
                length = min(at, max(_SMALLEST, len(tail)))
                at = stream.seek(at - length)
                tail = stream.read(length) + tail
    except OSError:
        return []
    lines = tail.split(b"\n")
    first = 1 if at == 0 else 2 - len(lines)
    found: list[tuple[int, dict[str, Any]]] = []
    for number in range(len(lines) - 1, -1, -1):
        with suppress(ValueError):
            fields = journal_lines.loads(lines[number])
            if isinstance(fields, dict):
                found.append((first + number, fields))
                if len(found) == count:
                    break
    found.reverse()
    return found
