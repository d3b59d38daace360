"""Finds the quarantined lines of a journal that were corrected in it, while the journal is read from its first line.

Their entries are closed once the corrected lines are stored. A quarantine may have the only copy of a line, so an entry is
closed only if a line near its place has the same content: a line that was just removed keeps its entry.
"""

from __future__ import annotations

import json
import re
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from chatstore_cli.domain.journal import KNOWN_FIELDS, Entry, JournalRecord
from chatstore_cli.domain.message import ROLES
from chatstore_cli.domain.quarantine import QuarantinedLine
from chatstore_cli.domain.times import recorded_instant

_MOST_SHIFTED = 20
_MOST_BYTES_HELD = 32 * 1024 * 1024
_NOT_COMPARED = re.compile(r'[\\"]|[^\x00-\x7f]')


class Corrections:
    """The quarantined lines of one journal, compared with the lines that are read from it."""

    def __init__(self, lines: Iterable[QuarantinedLine], read: Callable[[bytes], JournalRecord]) -> None:
        """`read` reads a journal line. Lines over 32 MiB in sum are left out, and their entries stay."""
        self._lines = sorted((_Line(line, read) for line in _within_memory(lines)), key=lambda line: line.number)
        self._numbers = [line.number for line in self._lines]
        # A correction can join or remove lines, which shifts the numbers of the lines after it.
        self._shift = min(len(self._lines), _MOST_SHIFTED)
        self._corrected: dict[str, int] = {}
        self._quarantined: set[int] = set()
        self._moved: Counter[bytes] = Counter()
        self._lock = threading.Lock()

    @property
    def is_empty(self) -> bool:
        """Whether the journal has no line in quarantine."""
        return not self._lines

    def note_quarantined(self, offset: int, new: bytes | None) -> None:
        """A line that begins there is in quarantine. `new` are its bytes if it was not before. From any thread."""
        with self._lock:
            self._quarantined.add(offset)
            if new is not None:
                self._moved[_digest(new)] += 1

    def note_edited(self, quarantine_id: str, offset: int) -> None:
        """The line at that place has an edited line, so an edit that was interrupted can be finished."""
        self._corrected[quarantine_id] = offset

    def closed(self) -> tuple[set[str], set[str]]:
        """The lines that are corrected, and those that are in quarantine once more, because they have another place now."""
        gone = [line for line in self._lines if line.offset not in self._quarantined]
        corrected = {
            line.quarantine_id
            for line in gone
            if line.quarantine_id in self._corrected and self._corrected[line.quarantine_id] not in self._quarantined
        }
        moved = set()
        for line in gone:
            digest = _digest(line.raw)
            if line.quarantine_id not in corrected and self._moved[digest]:
                self._moved[digest] -= 1
                moved.add(line.quarantine_id)
        return corrected, moved

    def examine(self, entries: Sequence[Entry]) -> None:
        """Note which lines the entries correct.

        One entry corrects the lines of one place only, and parts of lines that it joins.
        """
        for entry in entries:
            first = bisect_left(self._numbers, entry.number - self._shift)
            near = self._lines[first : bisect_left(self._numbers, entry.number + self._shift + 1)]
            if near:
                self._examine(near, entry)

    def _examine(self, near: Sequence[_Line], entry: Entry) -> None:
        matching = [line for line in near if line.quarantine_id not in self._corrected and line.is_corrected_by(entry)]
        whole = [line for line in matching if line.is_readable]
        place = min(((abs(line.number - entry.number), line.number) for line in whole), default=(0, 0))[1]
        self._corrected.update(
            (line.quarantine_id, entry.offset) for line in matching if not line.is_readable or line.number == place
        )


class _Line:
    """A quarantined line, as far as it can be read."""

    def __init__(self, line: QuarantinedLine, read: Callable[[bytes], JournalRecord]) -> None:
        self.quarantine_id = line.quarantine_id
        self.number = line.line
        self.offset = line.offset
        self.raw = line.raw or b""
        self._was_rejected = line.identity is not None
        self._fields = fields = read(self.raw).fields
        if not fields:
            self._known = _compared(self.raw.decode(errors="ignore"))
            return
        self._text = fields["text"] if _is_text(fields.get("text")) else None
        self._instant = _instant(fields.get("created_at"))
        self._values = {str(value) for value in fields.values() if _is_text(value) or type(value) in (int, float)}
        unknown = {name: value for name, value in fields.items() if name not in KNOWN_FIELDS}
        self._has_other_text = any(map(_is_text, unknown.values()))
        self._instants = {_instant(value) for value in [fields.get("created_at"), *unknown.values()]}

    @property
    def is_readable(self) -> bool:
        """Whether the line is a JSON object."""
        return bool(self._fields)

    def is_corrected_by(self, entry: Entry) -> bool:
        """Whether the entry is this line with its flaw corrected, or read with a new mapping."""
        if self.raw == entry.raw:
            return not self._was_rejected  # else a retry finds out whether the database accepts it by now
        fields, now = self._fields, entry.fields
        if not fields:
            return self._is_repaired_by(entry)
        if self._instant not in (None, entry.instant) or not _agree(fields, now):
            return False
        if self._was_rejected and self.number == entry.number and self._instant and _is_exact(entry.instant):
            return True  # the database rejected it, so its text may be what was corrected
        if self._text is not None and self._text != now["text"]:
            return False
        if self._text is None and self._has_other_text and now["text"] not in self._values:
            return False  # it has its text under another name, and the entry has other text
        evidence = (now["session_id"] in self._values, now["text"] in self._values, entry.instant in self._instants)
        return sum(evidence) >= 2

    def _is_repaired_by(self, entry: Entry) -> bool:
        """Whether the entry is this line, which was cut off, not UTF-8, or had a wrong quote or bracket."""
        part = self.raw.strip(b" \t\r\n\x00,")
        if part and (entry.raw.startswith(part) or entry.raw.endswith(part)):
            return True
        text = _compared(json.dumps(entry.fields["text"], ensure_ascii=False))
        if not text or text not in self._known:
            return False
        written = json.loads(entry.raw).get("created_at")
        return _is_text(written) and _compared(written) in self._known


def _agree(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether session and role are the same, as far as both were valid before."""
    session, role = before.get("session_id"), before.get("role")
    return (not _is_text(session) or session == now["session_id"]) and (role not in ROLES or role == now["role"])


def _is_exact(instant: str) -> bool:
    """Whether an instant has parts of a second, so that hardly any other line has the same."""
    return not instant.endswith(".000000+00:00")


def _digest(raw: bytes) -> bytes:
    return blake2b(raw, digest_size=16).digest()


def _within_memory(lines: Iterable[QuarantinedLine]) -> Iterator[QuarantinedLine]:
    held = 0
    for line in lines:
        held += len(line.raw or b"")
        if held > _MOST_BYTES_HELD:
            return
        if line.raw is not None:
            yield line


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _instant(value: object) -> str | None:
    try:
        return recorded_instant(value)[0]
    except (ValueError, OverflowError, OSError):
        return None


def _compared(text: str) -> str:
    """What a broken line has in common with its repair: no quotes, no escapes, only ASCII."""
    return _NOT_COMPARED.sub("", text)
