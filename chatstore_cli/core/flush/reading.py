"""Reads journals and makes entries: each line is decoded, checked, salvaged or quarantined, and given its identity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from chatstore_cli.core.flush.corrections import Corrections
from chatstore_cli.core.flush.occurrences import OccurrenceCount
from chatstore_cli.core.flush.quarantine import LineQuarantine
from chatstore_cli.core.flush.resolved_lines import edited_entry, final_resolution
from chatstore_cli.core.flush.source_state import SourceState
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.identity import content_key, identity_by_content, identity_by_message_id, session_prefix
from chatstore_cli.domain.journal import Entry, JournalRecord, Position, is_plain
from chatstore_cli.domain.message_store import JournalPort, LedgerPort, OversizedLine, QuarantinePort
from chatstore_cli.domain.quarantine import Resolution

_PREFIXES_KEPT = 50_000
_new_tuple = tuple.__new__
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_CR_LINES = b"}\r{"
_UTF8_MARK = b"\xef\xbb\xbf"


@dataclass
class Source:
    """A journal with its ledger and its quarantine, which all journals of one folder share."""

    journal: JournalPort
    ledger: LedgerPort | None
    quarantine: QuarantinePort

    def position(self, collection: str | None) -> Position | None:
        """How far the ledger shows the journal stored in the collection; None if the file is another one by now."""
        if self.ledger is None or collection is None:
            return None
        position = self.ledger.position(self.journal.name, collection + self.journal.mapping_key)
        return position if position is not None and self.journal.still_at(position) else None


@dataclass
class JournalReading:
    """One reading of one journal, from `start` or from its first line. Only the thread that reads writes to it.

    `offset` bytes and `records` have been read, and `latest` is the latest instant among them; `lines` counts what was
    read in this reading, and `altered` lines whose values had to be replaced, by what was done. `pending` is 1 if the
    last line is incomplete. The threads that store write to `state` only, and to `quarantine`, which is the way into quarantine for both.
    """

    source: Source
    quarantine: LineQuarantine
    counting: OccurrenceCount
    start: Position | None = None
    corrections: Corrections | None = None
    offset: int = 0
    records: int = 0
    latest: str = ""
    lines: int = 0
    pending: int = 0
    altered: Counter[str] = field(default_factory=Counter)
    at_end: bool = False
    out_of_order: bool = False
    name: str = field(init=False)
    state: SourceState = field(init=False)
    resolved: Set[int] = field(init=False)
    """Where the lines begin that were dropped from the quarantine, or that an edited line replaces."""

    def __post_init__(self) -> None:
        self.name = self.source.journal.name
        self.resolved = self.source.quarantine.resolved_offsets(self.name)
        self.latest = self.start.latest if self.start else ""
        self.state = SourceState(refuse=self.quarantine.refuse, floor=self.latest)

    @property
    def complete(self) -> bool:
        """Whether the journal was read to its end, and its last line is complete."""
        return self.at_end and not self.pending

    @property
    def needs_rereading(self) -> bool:
        """Whether the journal has to be read again from its first line, to count equal lines."""
        return self.out_of_order or self.state.needs_rereading


class Reader:
    """Makes entries of journal lines. Use one for all journals of a run: it remembers the sessions' prefixes."""

    def __init__(self, *, session: str | None) -> None:
        """`session`: make entries of this session only, and leave alone the lines whose session cannot be read."""
        self._session = session
        self._prefixes: dict[str, str] = {}  # not an LruMap: it is read for every line

    def entries(self, reading: JournalReading) -> Iterator[list[Entry]]:
        """The entries of a journal, in a list for each block. `reading` is up to date whenever a list is yielded.

        Raises OutOfOrder if equal lines have to be counted on disk, ChatstoreError if the journal cannot be read.
        """
        if reading.start is not None:
            reading.offset, reading.records = reading.start.offset, reading.start.records
        for block in reading.source.journal.blocks(reading.offset):
            if isinstance(block, OversizedLine):
                entries = self._read_oversized(reading, block)
            elif block.complete:
                entries = self._read_block(reading, block.offset, block.lines)
            else:
                entries = self._read_last_line(reading, block.offset, block.lines[0])
            if reading.corrections is not None:
                reading.corrections.examine(entries)
            yield entries

    def _read_block(self, reading: JournalReading, offset: int, lines: list[bytes]) -> list[Entry]:
        if offset == 0:
            lines[0] = self._without_mark(reading, lines[0])
            offset = reading.offset
        decode: Callable[[bytes], Any] = reading.source.journal.decode
        entries: list[Entry] = []
        add_entry = self._add_entry
        resolved = reading.resolved
        for line in lines:
            if resolved and offset in resolved and self._read_resolved(reading, offset, line, entries):
                offset += len(line) + 1
                continue
            try:
                fields = decode(line)
            except ValueError:
                self._read_damaged(reading, offset, line, entries)
            else:
                # As many colons after a quote as keys: then no key occurs twice. Text may have such colons too.
                if is_plain(fields) and line.count(b'":') == len(fields) + len(fields["metadata"]):
                    reading.lines += 1
                    reading.records += 1
                    add_entry(reading, offset, line, fields, entries)
                else:
                    self._read_record(reading, offset, line, reading.source.journal.read(line), entries)
            offset += len(line) + 1
        reading.offset = offset
        return entries

    def _read_record(
        self, reading: JournalReading, offset: int, raw: bytes, record: JournalRecord, entries: list[Entry]
    ) -> None:
        reading.lines += 1
        reading.records += 1
        if record.fields is None or record.flaw is not None:
            self._quarantine(reading, offset, raw, record.flaw or "not JSON")
            return
        if self._session in (None, record.fields["session_id"]):
            reading.altered.update(record.alterations)
        self._add_entry(reading, offset, raw, record.fields, entries)

    def _add_entry(
        self, reading: JournalReading, offset: int, raw: bytes, fields: dict[str, Any], entries: list[Entry]
    ) -> None:
        session = fields["session_id"]
        if self._session is not None and session != self._session:
            reading.lines -= 1
            return
        instant = fields["created_at"]
        prefix = self._prefixes.get(session) or self._prefix(session)
        if "message_id" in fields:
            key = b""
            identity = identity_by_message_id(prefix, session, fields["message_id"])
        else:
            key = content_key(session, fields["role"], instant, fields["text"])
            occurrence = reading.counting.number(key, instant)
            identity = prefix + key.hex() if occurrence == 0 else identity_by_content(prefix, key, occurrence)
        if instant > reading.latest:
            reading.latest = instant
        # The same as Entry(...), at a third of its cost: this runs for every line.
        entries.append(_new_tuple(Entry, (reading.name, identity, key, instant, fields, reading.records, offset, raw)))

    def _prefix(self, session: str) -> str:
        if len(self._prefixes) >= _PREFIXES_KEPT:
            self._prefixes.clear()
        prefix = self._prefixes[session] = session_prefix(session)
        return prefix

    def _read_damaged(self, reading: JournalReading, offset: int, line: bytes, entries: list[Entry]) -> None:
        journal = reading.source.journal
        if not line.strip(journal.padding):
            return
        record = journal.read(line)
        if record.fields is not None:
            self._read_record(reading, offset, line, record, entries)
            return
        for piece in journal.salvage(line):
            place = offset + piece.start
            if place in reading.resolved and self._read_resolved(reading, place, piece.raw, entries):
                continue
            if piece.flaw is None:
                self._read_record(reading, place, piece.raw, journal.read(piece.raw), entries)
            else:
                reading.lines += 1
                reading.records += 1
                self._quarantine(reading, place, piece.raw, piece.flaw)

    def _read_last_line(self, reading: JournalReading, offset: int, line: bytes) -> list[Entry]:
        entries: list[Entry] = []
        if offset == 0:
            line = self._without_mark(reading, line)
            offset = reading.offset
        if not line.strip(reading.source.journal.padding):
            return entries
        if _CR_LINES in line:
            raise _ends_with_cr(reading)
        record = reading.source.journal.read(line)
        if record.fields is None:
            reading.pending += 1  # a number or a text may continue; an object that is closed cannot
            return entries
        if offset not in reading.resolved or not self._read_resolved(reading, offset, line, entries):
            self._read_record(reading, offset, line, record, entries)
        reading.offset = offset + len(line)
        return entries

    def _without_mark(self, reading: JournalReading, line: bytes) -> bytes:
        if line.startswith(_UTF16_MARKS):
            raise ChatstoreError(
                what=f"{reading.name}: the file is UTF-16.", hint="Convert it to UTF-8 and run the command again."
            )
        if line.startswith(_UTF8_MARK):
            reading.offset = len(_UTF8_MARK)
            return line[len(_UTF8_MARK) :]
        return line

    def _read_resolved(self, reading: JournalReading, offset: int, raw: bytes, entries: list[Entry]) -> bool:
        """Read what takes the place of a line that was in quarantine. False if this line was not."""
        resolution = reading.source.quarantine.resolution(reading.name, offset, raw)
        if resolution is None:
            return False
        if resolution.counted:
            fields = reading.source.journal.read(raw).fields
            if fields is not None and self._session in (None, fields["session_id"]):
                self._add_entry(reading, offset, raw, fields, [])  # equal lines after it keep their numbers
        if reading.corrections is not None:
            reading.corrections.note_edited(resolution.quarantine_id, offset)
        self._add_resolved(reading, offset, resolution, entries)
        return True

    def _add_resolved(self, reading: JournalReading, offset: int, resolution: Resolution, entries: list[Entry]) -> None:
        """Add the edited line, or count the dropped one as skipped."""
        reading.records += 1
        resolution = final_resolution(reading.source.quarantine, reading.name, offset, resolution)
        if resolution.edited is None:
            if self._session is None:
                reading.lines += 1
                reading.state.count_skipped()
            return
        fields, flaw, _ = reading.source.journal.read(resolution.edited)
        if fields is not None and self._session not in (None, fields.get("session_id")):
            return
        reading.lines += 1
        if fields is None or flaw is not None:
            self._quarantine(reading, offset, resolution.edited, flaw or "not JSON")
            return
        entry = edited_entry(reading.name, reading.records, offset, resolution, fields)
        reading.latest = max(reading.latest, entry.instant)
        entries.append(entry)

    def _read_oversized(self, reading: JournalReading, line: OversizedLine) -> list[Entry]:
        if not line.complete:
            if any(_CR_LINES in piece for piece in islice(reading.source.journal.pieces(line.offset, line.length), 1)):
                raise _ends_with_cr(reading)
            reading.pending += 1
            return []
        reading.offset = line.offset + line.length + 1
        if line.offset in reading.resolved:
            resolution = reading.source.quarantine.resolution_of_large(reading.name, line.offset, line.length)
            if resolution is not None:
                entries: list[Entry] = []
                self._add_resolved(reading, line.offset, resolution, entries)
                return entries
        reading.records += 1
        if self._session is not None:
            return []
        reading.lines += 1
        reason = f"{line.length:,} bytes long: a document holds at most 16 MiB"
        pieces = reading.source.journal.pieces(line.offset, line.length)
        reading.quarantine.add_large(reading.records, line.offset, line.length, pieces, reason)
        return []

    def _quarantine(self, reading: JournalReading, offset: int, raw: bytes, reason: str) -> None:
        if self._session is not None:
            reading.lines -= 1  # it may be of any session: the flush of all sessions will quarantine it
        else:
            reading.quarantine.add(reading.records, offset, raw, reason)


def _ends_with_cr(reading: JournalReading) -> ChatstoreError:
    return ChatstoreError(
        what=f"{reading.name}: its lines end with CR and not with LF.",
        hint="Convert the line ends (for example with `mac2unix`) and run the command again.",
    )
