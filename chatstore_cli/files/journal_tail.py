"""The newest lines of a session's journals, read from their ends: the cost is that of what is asked for."""

from __future__ import annotations

import gzip
import os
import re
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.history import JournalTail, NewestInstants
from chatstore_cli.domain.identity import content_key
from chatstore_cli.domain.journal import flaw_of
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.times import as_utc, format_instant
from chatstore_cli.files import journal_lines
from chatstore_cli.files.journal_reader import LINE_LIMIT
from chatstore_cli.files.session_names import journals_of

BLOCK = 256 * 1024
DISORDER = timedelta(seconds=10)
"""How much earlier than a line that follows it another one may be, so that the newest lines are found all the same:

several processes record into one session, each by its own clock, and wait for one another.
"""

_ATTEMPTS = 5
_ROTATION = re.compile(r"(\.\d+)?(\.gz)?\Z")
_MARK = b"\xef\xbb\xbf"
"""What some editors put before UTF-8."""


def read_tail(folder: Path, session_id: str, limit: int) -> JournalTail:
    """The newest `limit` messages of a session that its journals hold, or more; where there are fewer, all of them.

    Takes no lock: a line that is being written is left out, and where files are rotated, cut or removed meanwhile, they
    are looked up again. Raises ChatstoreError for a file that cannot be read, BadValue for an id that can have none.
    """
    for _ in range(_ATTEMPTS):
        with ExitStack() as stack:
            journals = _opened(folder, session_id, stack)
            if [journal.identity for journal in journals] != _present(folder, session_id):
                continue  # rotated just now: what was moved must not be missed
            with suppress(_Cut):
                return _tail_of(journals, session_id, limit)
    raise ChatstoreError(
        what=f"The journals of session {session_id!r} are replaced again and again.", hint="Try again in a moment."
    )


# --- files -----------------------------------------------------------------------------------------------------------


class _Cut(Exception):
    """A file has become shorter while it was read."""


class _Journal(NamedTuple):
    """A journal that is open."""

    path: Path
    descriptor: int
    file: int

    @property
    def identity(self) -> tuple[Path, int]:
        return self.path, self.file

    @property
    def stem(self) -> str:
        """The name without what a rotation added: files of one stem follow one another in time."""
        return _ROTATION.sub("", self.path.name, count=1)


def _opened(folder: Path, session_id: str, stack: ExitStack) -> list[_Journal]:
    journals: list[_Journal] = []
    for path in journals_of(folder, session_id):
        with _reading(path), suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            journals.append(_Journal(path, descriptor, os.fstat(descriptor).st_ino))
    return journals


def _present(folder: Path, session_id: str) -> list[tuple[Path, int]]:
    present: list[tuple[Path, int]] = []
    for path in journals_of(folder, session_id):
        with _reading(path), suppress(FileNotFoundError):
            present.append((path, path.stat().st_ino))
    return present


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ChatstoreError(what=f"{path}: {error.strerror or error}") from error


# --- the newest messages ---------------------------------------------------------------------------------------------


def _tail_of(journals: list[_Journal], session_id: str, limit: int) -> JournalTail:
    tail = JournalTail()
    for _, chain in groupby(journals, key=lambda journal: journal.stem):
        newest_first: list[list[Message]] = []
        enough = _Enough(limit)
        for journal in reversed(list(chain)):
            if enough.reached:
                tail.complete = False
                break
            with _reading(journal.path), _plain(journal, tail) as descriptor:
                newest_first.append(_messages(descriptor, session_id, enough, tail))
            enough.next_file()
        tail.journals.extend(reversed(newest_first))
    return tail


@contextmanager
def _plain(journal: _Journal, tail: JournalTail) -> Iterator[int]:
    """The journal's bytes as a file that can be read from its end: a compressed one has to be unpacked for that."""
    if journal.path.suffix != ".gz":
        yield journal.descriptor
        return
    with tempfile.TemporaryFile() as unpacked, os.fdopen(os.dup(journal.descriptor), "rb") as packed:
        try:
            with gzip.GzipFile(fileobj=packed) as stream:
                while piece := stream.read1(BLOCK):  # read() would throw away what comes before a damage
                    unpacked.write(piece)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            tail.damaged += 1
        unpacked.flush()
        yield unpacked.fileno()


class _Enough:
    """Tells when the newest `limit` messages of a chain of files have been met, with whatever equals one of them."""

    def __init__(self, limit: int) -> None:
        self._newest = NewestInstants(limit)
        self._named: set[str] = set()
        self._nameless: set[bytes] = set()
        self._nameless_here: set[bytes] = set()
        self.reached = False

    def next_file(self) -> None:
        """An older file may be a copy of a newer one: what is equal to a line of that is the same message."""
        self._nameless |= self._nameless_here
        self._nameless_here.clear()

    def add(self, message: Message) -> bool:
        """One more, going back; True where everything before it is older than the newest `limit`."""
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
        self._nameless_here.add(key)
        return key not in self._nameless


def _messages(descriptor: int, session_id: str, enough: _Enough, tail: JournalTail) -> list[Message]:
    """The newest messages of one file, oldest first, back to where there are enough."""
    found: list[tuple[int, Message]] = []
    records = 0
    for raw, whole in _lines_backwards(descriptor):
        for fields in _records_backwards(raw, whole=whole):
            records += 1
            if fields is None or flaw_of(fields) is not None:
                tail.damaged += 1
            elif fields["session_id"] != session_id:
                tail.of_others += 1
            else:
                message = _message(fields)
                if enough.add(message):
                    tail.complete = False
                    return [message for _, message in reversed(found)]
                found.append((records, message))
    return [message._replace(sequence=records - place + 1) for place, message in reversed(found)]


def _records_backwards(raw: bytes | None, *, whole: bool) -> Iterator[dict[str, Any] | None]:
    """What flush-cache counts as the records of a line, from its end; None for one that is damaged."""
    if raw is None:
        if whole:
            yield None
        return
    try:
        fields = journal_lines.loads(raw)
    except ValueError:
        if whole and raw.strip():
            for piece in reversed(list(journal_lines.salvage(raw))):
                yield journal_lines.loads(piece.raw) if piece.flaw is None else None
    else:
        if whole or type(fields) is dict:  # an unfinished number or text may go on; an object that is closed cannot
            yield fields


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
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


# --- lines, from the end ---------------------------------------------------------------------------------------------


def _lines_backwards(descriptor: int) -> Iterator[tuple[bytes | None, bool]]:
    """Each line from the last to the first, and whether a line feed ends it; None for one too long to be held."""
    end = os.fstat(descriptor).st_size
    beginning = len(_MARK) if os.pread(descriptor, len(_MARK), 0) == _MARK else 0
    rest: list[bytes] = []  # the end of a line whose beginning has not been read yet, its last piece first
    length = 0
    whole = False
    while end > beginning:
        start = max(beginning, end - BLOCK)
        block = os.pread(descriptor, end - start, start)
        if len(block) < end - start:
            raise _Cut
        first, *others = block.split(b"\n")
        if others:
            yield _joined(others.pop(), rest, length), whole
            whole = True
            yield from ((line, True) for line in reversed(others))
            rest, length = [], 0
        length += len(first)
        rest = [*rest, first] if length <= LINE_LIMIT else []
        end = start
    if length:
        yield _joined(b"", rest, length), whole


def _joined(first: bytes, rest: list[bytes], length: int) -> bytes | None:
    if length + len(first) > LINE_LIMIT:
        return None
    return b"".join([first, *reversed(rest)])
