"""The newest messages in a session's journals, read from the end: the cost depends only on how many are needed."""

from __future__ import annotations

import gzip
import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from chatstore_cli.core.regular_files import open_regular
from chatstore_cli.core.retry import attempt_until_done
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.field_mapping import FieldMapping
from chatstore_cli.domain.history import JournalTail, NewestInstants
from chatstore_cli.domain.identity import content_key
from chatstore_cli.domain.message import Message, read_reply_to
from chatstore_cli.domain.times import as_utc, format_instant
from chatstore_cli.files import journal_lines
from chatstore_cli.files.journal_names import is_compressed, read_journal_name
from chatstore_cli.files.journal_reader import LINE_LIMIT
from chatstore_cli.files.ownership import access_hint
from chatstore_cli.files.session_names import journals_of

BLOCK = 256 * 1024
DISORDER = timedelta(seconds=10)
"""A line may be this much older than the line before it, and the newest messages are still found.

Several processes may record one session, each with its own clock, and they wait for each other's locks.
"""

_ATTEMPTS_TO_READ = 5
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""Some editors write it at the beginning of a file."""


def read_tail(folder: Path, session_id: str, limit: int, mapping: FieldMapping | None = None) -> JournalTail:
    """The newest `limit` messages in a session's journals, or a few more; all messages if there are fewer.

    Takes no lock: a line that is being written is left out, and if files are rotated, truncated or removed meanwhile,
    reading starts again. Raises ChatstoreError for a file that cannot be read, BadValue for an id that cannot have one.
    """

    def read() -> JournalTail | None:
        with ExitStack() as stack, suppress(_Truncated):
            journals = _open_all(folder, session_id, stack)
            if [journal.identity for journal in journals] == _identities(folder, session_id):
                return _tail_of(journals, session_id, limit, mapping)
        return None  # rotated or truncated meanwhile: a journal that was moved must not be missed

    def failure() -> ChatstoreError:
        what = f"The journals of session {session_id!r} were replaced in each of {_ATTEMPTS_TO_READ} attempts to read them."
        return ChatstoreError(what=what, hint="Try again in a moment.")

    return attempt_until_done(read, failure, attempts=_ATTEMPTS_TO_READ)


# --- files -----------------------------------------------------------------------------------------------------------


class _Truncated(Exception):
    """A file has become shorter while it was read."""


class _Journal(NamedTuple):
    """An open journal; `file` is its inode."""

    path: Path
    descriptor: int
    file: int

    @property
    def identity(self) -> tuple[Path, int]:
        return self.path, self.file

    @property
    def chain(self) -> tuple[str, bool] | None:
        """Which journals it follows in time."""
        name = read_journal_name(self.path.name)
        return None if name is None else name.chain


def _open_all(folder: Path, session_id: str, stack: ExitStack) -> list[_Journal]:
    journals: list[_Journal] = []
    for path in journals_of(folder, session_id):
        with _read_errors(path), suppress(FileNotFoundError):
            descriptor = open_regular(path)
            stack.callback(os.close, descriptor)
            journals.append(_Journal(path, descriptor, os.fstat(descriptor).st_ino))
    return journals


def _identities(folder: Path, session_id: str) -> list[tuple[Path, int]]:
    identities: list[tuple[Path, int]] = []
    for path in journals_of(folder, session_id):
        with _read_errors(path), suppress(FileNotFoundError):
            identities.append((path, path.stat().st_ino))
    return identities


@contextmanager
def _read_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ChatstoreError(what=f"{path}: {error.strerror or error}", hint=access_hint(path, error)) from error


# --- the newest messages ---------------------------------------------------------------------------------------------


def _tail_of(journals: list[_Journal], session_id: str, limit: int, mapping: FieldMapping | None) -> JournalTail:
    tail = JournalTail()
    for _, chain in groupby(journals, key=lambda journal: journal.chain):
        newest_first: list[list[Message]] = []
        counter = _NewestCounter(limit)
        for journal in reversed(list(chain)):
            if counter.reached:
                tail.complete = False
                break
            with _read_errors(journal.path), _uncompressed(journal, tail) as descriptor:
                newest_first.append(_messages(descriptor, session_id, counter, tail, mapping))
            counter.next_file()
        tail.journals.extend(reversed(newest_first))
    return tail


@contextmanager
def _uncompressed(journal: _Journal, tail: JournalTail) -> Iterator[int]:
    """A file with the journal's bytes. A compressed journal is unpacked, so that it can be read from its end."""
    if not is_compressed(journal.path):
        yield journal.descriptor
        return
    with tempfile.TemporaryFile() as unpacked, os.fdopen(os.dup(journal.descriptor), "rb") as packed:
        try:
            with gzip.GzipFile(fileobj=packed) as stream:
                while piece := stream.read1(BLOCK):  # read() would drop bytes before a damaged part
                    unpacked.write(piece)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            tail.damaged += 1
        unpacked.flush()
        yield unpacked.fileno()


class _NewestCounter:
    """Counts distinct messages from the newest back. `reached`: the newest `limit` are among those counted."""

    def __init__(self, limit: int) -> None:
        self._newest = NewestInstants(limit)
        self._named: set[str] = set()
        self._nameless: set[bytes] = set()
        self._nameless_of_file: set[bytes] = set()
        self.reached = False

    def next_file(self) -> None:
        """Begin an older file. It may be a copy of a newer file: lines that are equal to a newer file's are not counted."""
        self._nameless |= self._nameless_of_file
        self._nameless_of_file.clear()

    def add(self, message: Message) -> bool:
        """Count a message. Returns whether all earlier messages are older than the newest `limit`."""
        moment = message.created_at
        oldest = self._newest.oldest
        if moment is None or (oldest is not None and oldest - moment > DISORDER):
            self.reached = True
        elif self._is_new(message, format_instant(moment)):
            self._newest.add(moment)
        return self.reached

    def _is_new(self, message: Message, instant: str) -> bool:
        if message.message_id is not None:
            if message.message_id in self._named:
                return False
            self._named.add(message.message_id)
            return True
        key = content_key(message.session_id, message.role, instant, message.content)
        self._nameless_of_file.add(key)
        return key not in self._nameless


def _messages(
    descriptor: int, session_id: str, counter: _NewestCounter, tail: JournalTail, mapping: FieldMapping | None
) -> list[Message]:
    """The newest messages of one file, oldest first, as far back as they are needed."""
    messages: list[tuple[int, Message]] = []
    records = 0
    for raw, whole in _lines_backwards(descriptor):
        for fields in _records_backwards(raw, mapping, whole=whole):
            records += 1
            if fields is None:
                tail.damaged += 1
            elif fields["session_id"] != session_id:
                tail.of_others += 1
            else:
                message = _message(fields)
                if counter.add(message):
                    tail.complete = False
                    return [message for _, message in reversed(messages)]
                messages.append((records, message))
    return [message._replace(sequence=records - place + 1) for place, message in reversed(messages)]


def _records_backwards(
    raw: bytes | None, mapping: FieldMapping | None, *, whole: bool
) -> Iterator[dict[str, Any] | None]:
    """The records of a line as flush-cache counts them, from its end; None for a damaged record."""
    if raw is None:
        if whole:
            yield None
        return
    if not raw.strip(journal_lines.PADDING):
        return
    record = journal_lines.read_record(raw, mapping)
    if record.fields is None:
        if whole:
            for piece in reversed(list(journal_lines.salvage(raw, mapping))):
                yield journal_lines.read_record(piece.raw, mapping).fields if piece.flaw is None else None
    else:  # also at the end of the file: an object that is closed cannot continue
        yield record.fields if record.flaw is None else None


def _message(fields: dict[str, Any]) -> Message:
    get = fields.get
    return Message(
        fields["session_id"],
        fields["role"],
        fields["text"],
        get("message_id"),
        None,
        _text(get("name")),
        as_utc(datetime.fromisoformat(fields["created_at"])),
        _text(get("event_type")),
        _text(get("source")),
        calls if isinstance(calls := get("tool_calls"), list) else None,
        _text(get("tool_call_id")),
        fields["metadata"],
        read_reply_to(fields),
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


# --- lines, from the end ---------------------------------------------------------------------------------------------


def _lines_backwards(descriptor: int) -> Iterator[tuple[bytes | None, bool]]:
    """Each line from the last to the first, and whether a line feed ends it; None for a line that is too long."""
    end = os.fstat(descriptor).st_size
    beginning = len(_BYTE_ORDER_MARK) if os.pread(descriptor, len(_BYTE_ORDER_MARK), 0) == _BYTE_ORDER_MARK else 0
    rest: list[bytes] = []  # the end of a line whose beginning has not been read yet; its last piece is first
    length = 0
    whole = False
    while end > beginning:
        start = max(beginning, end - BLOCK)
        block = os.pread(descriptor, end - start, start)
        if len(block) < end - start:
            raise _Truncated
        first, *others = block.split(b"\n")
        if others:
            yield _join(others.pop(), rest, length), whole
            whole = True
            yield from ((line, True) for line in reversed(others))
            rest, length = [], 0
        length += len(first)
        rest = [*rest, first] if length <= LINE_LIMIT else []
        end = start
    if length:
        yield _join(b"", rest, length), whole


def _join(first: bytes, rest: list[bytes], length: int) -> bytes | None:
    if length + len(first) > LINE_LIMIT:
        return None
    return b"".join([first, *reversed(rest)])
