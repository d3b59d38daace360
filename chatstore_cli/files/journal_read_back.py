"""Reads recorded lines back from a journal if there were too many of them for memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from chatstore_cli.core.regular_files import open_regular, regular_stream
from chatstore_cli.domain.recording import JournalRange, LineLocation, RecoveredLines
from chatstore_cli.files import journal_lines
from chatstore_cli.files.journal_reader import LINE_LIMIT

_SMALLEST_READ = 64 * 1024


def read_back(unread: JournalRange, lines: int, about_bytes: int) -> RecoveredLines | None:
    """At most `lines` lines from the start of a range, about `about_bytes` bytes, at least one line; None if its file is gone.

    Raises OSError if the file exists and cannot be read. A file that was renamed, as a log rotation does, is found
    beside its old path. If the file was cut, the lines that remain are read.
    """
    descriptor = _open_by_inode(unread)
    if descriptor is None:
        return None
    try:
        size = os.fstat(descriptor).st_size
        if size <= unread.start:
            return RecoveredLines([], None)
        unread = replace(unread, end=min(unread.end, size))
        length = max(about_bytes, _SMALLEST_READ)
        while True:
            requested = min(length, unread.end - unread.start)
            content = os.pread(descriptor, requested, unread.start)
            end = content.rfind(b"\n") + 1
            was_cut = len(content) < requested
            if end or was_cut or requested == unread.end - unread.start:
                break
            length *= 4  # one long line
        return _decode(unread, content[:end] if end else content, lines)
    finally:
        os.close(descriptor)


def _decode(unread: JournalRange, content: bytes, limit: int) -> RecoveredLines:
    lines: list[tuple[LineLocation, dict[str, Any]]] = []
    offset, number = unread.start, unread.number
    for line in content.removesuffix(b"\n").split(b"\n", limit)[:limit]:
        with suppress(ValueError):  # this process wrote no damaged line; flush-cache quarantines them
            fields = journal_lines.loads(line)
            if isinstance(fields, dict):
                lines.append((LineLocation(unread.source, unread.inode, number, offset, len(line)), fields))
        offset += len(line) + 1
        number += 1
    if offset >= unread.end:
        return RecoveredLines(lines, None)
    return RecoveredLines(lines, replace(unread, start=offset, number=number))


def _open_by_inode(unread: JournalRange) -> int | None:
    for path in _possible_paths(Path(unread.source)):
        try:
            descriptor = open_regular(path)
        except FileNotFoundError:
            continue
        if os.fstat(descriptor).st_ino == unread.inode:
            return descriptor
        os.close(descriptor)
    return None


def _possible_paths(path: Path) -> Iterator[Path]:
    yield path
    with suppress(OSError):
        names = os.listdir(path.parent)  # noqa: PTH208 - a folder may hold the journals of many sessions
        # Its inode identifies the file, so a rotation may give it any name that begins like this.
        rotated = sorted(name for name in names if name.startswith(path.name))
        yield from (file for name in rotated if (file := path.with_name(name)).is_file())


def newest(path: Path, count: int) -> list[tuple[int, dict[str, Any]]]:
    """The newest `count` lines of a journal, oldest first, each with its number; damaged lines are omitted.

    Only the end of the file is decoded, and at most about LINE_LIMIT bytes are read. If the file was not read from its
    first byte, the numbers count back from 0: they order the lines, and mean nothing else.
    """
    try:
        with regular_stream(path, buffering=0) as stream:
            offset = stream.seek(0, os.SEEK_END)
            tail = b""
            while offset and tail.count(b"\n") <= count and len(tail) <= LINE_LIMIT:
                length = min(offset, max(_SMALLEST_READ, len(tail)))
                offset = stream.seek(offset - length)
                tail = stream.read(length) + tail
    except OSError:
        return []
    lines = tail.split(b"\n")
    first = 1 if offset == 0 else 2 - len(lines)
    records: list[tuple[int, dict[str, Any]]] = []
    for index in range(len(lines) - 1, -1, -1):
        with suppress(ValueError):
            fields = journal_lines.loads(lines[index])
            if isinstance(fields, dict):
                records.append((first + index, fields))
                if len(records) == count:
                    break
    records.reverse()
    return records
