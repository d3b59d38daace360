"""Finds the quarantined lines of a journal that were corrected in it, while the journal is read from its first line.

Their entries are closed once the corrected lines are stored. A quarantine may have the only copy of a line, so an entry is
closed only if a line near its place has the same content: a line that was just removed keeps its entry.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from chatstore_cli.domain.journal import KNOWN_FIELDS, Entry, JournalRecord
from chatstore_cli.domain.message import ROLES
from chatstore_cli.domain.quarantine import QuarantinedLine
from chatstore_cli.domain.times import recorded_instant

_MOST_SHIFTED = 20
_NOT_COMPARED = re.compile(r'[\\"]|[^\x00-\x7f]')


class Corrections:
    """The quarantined lines of one journal, compared with the entries that are read from it.

    `corrected` has the place of the line that corrects each line, by quarantine id.
    """

    def __init__(self, lines: Iterable[QuarantinedLine], read: Callable[[bytes], JournalRecord]) -> None:
        """`read` reads a journal line. Lines in files of their own are left out."""
        self._lines = sorted((line for line in lines if line.raw is not None), key=lambda line: line.line)
        self._numbers = [line.line for line in self._lines]
        # A correction can join or remove lines, which shifts the numbers of the lines after it.
        self._shift = min(len(self._lines), _MOST_SHIFTED)
        self._read = read
        self.corrected: dict[str, int] = {}

    def examine(self, entries: Sequence[Entry]) -> None:
        """Note which lines the entries correct. One entry corrects the lines of one place only."""
        for entry in entries:
            first = bisect_left(self._numbers, entry.number - self._shift)
            near = self._lines[first : bisect_left(self._numbers, entry.number + self._shift + 1)]
            if near:
                self._examine(sorted(near, key=lambda line: abs(line.line - entry.number)), entry)

    def _examine(self, near: list[QuarantinedLine], entry: Entry) -> None:
        place = None
        for line in near:
            is_open = line.quarantine_id not in self.corrected and place in (None, line.line)
            if is_open and is_correction(line, entry, self._read):
                self.corrected[line.quarantine_id] = entry.offset
                place = line.line


def is_correction(line: QuarantinedLine, entry: Entry, read: Callable[[bytes], JournalRecord]) -> bool:
    """Whether the entry is the line, with what was at fault in it corrected."""
    raw = line.raw or b""
    if raw == entry.raw:
        return False
    before = read(raw).fields
    if not before:
        return _is_repaired(raw, entry)
    return _has_content_of(before, entry, can_differ=line.identity is not None and line.line == entry.number)


def _has_content_of(before: Mapping[str, Any], entry: Entry, *, can_differ: bool) -> bool:
    """Whether nothing in the line speaks against the entry, and enough speaks for it.

    `can_differ`: the database rejected the line, so its text may be what was corrected.
    """
    now = entry.fields
    values = _values(before)
    instant = _instant(before.get("created_at"))
    same = {
        "session_id": before.get("session_id") in (now["session_id"], None, "") or not _is_text(before["session_id"]),
        "role": before.get("role") in (now["role"], None) or before["role"] not in ROLES,
        "created_at": instant in (entry.instant, None),
    }
    if not all(same.values()):
        return False
    if can_differ and instant == entry.instant and not entry.instant.endswith(".000000+00:00"):
        return True
    text = before.get("text")
    if _is_text(text) and text != now["text"]:
        return False
    unknown = {value for name, value in before.items() if name not in KNOWN_FIELDS and _is_text(value)}
    if not _is_text(text) and now["text"] not in values and unknown:
        return False  # it has text under another name, and the entry has other text
    instants = {_instant(value) for name, value in before.items() if name not in {"text", "session_id", "metadata"}}
    evidence = (now["session_id"] in values, now["text"] in values, entry.instant in instants)
    return sum(evidence) >= 2


def _is_repaired(raw: bytes, entry: Entry) -> bool:
    """Whether the entry is a line that could not be read: cut off, not UTF-8, or with a wrong quote or bracket."""
    part = raw.strip(b" \t\r\n\x00,")
    if part and (entry.raw.startswith(part) or entry.raw.endswith(part)):
        return True
    known = _compared(raw.decode(errors="ignore"))
    text = _compared(json.dumps(entry.fields["text"], ensure_ascii=False))
    written = json.loads(entry.raw).get("created_at")
    return bool(text) and text in known and _is_text(written) and _compared(written) in known


def _values(fields: Mapping[str, Any]) -> set[str]:
    return {value for value in fields.values() if _is_text(value)} | {
        str(value) for value in fields.values() if type(value) in (int, float)
    }


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
