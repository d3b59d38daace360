"""From a journal to entries: each line decoded, checked, salvaged or quarantined, and given its identity."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from chatstore_cli.core.flush.delivery import Delivery
from chatstore_cli.core.flush.occurrences import CountOnDisk, WindowedCount
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.identity import content_key, identity_by_content, identity_by_message_id, session_prefix
from chatstore_cli.domain.journal import Entry, flaw_of, is_plain, may_have_lost_digits
from chatstore_cli.domain.message_store import JournalPort, LedgerPort, OversizedLine, QuarantinePort
from chatstore_cli.domain.times import Clock, format_instant

_PREFIXES_KEPT = 50_000
_new_tuple = tuple.__new__
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_UTF8_MARK = b"\xef\xbb\xbf"


@dataclass
class Source:
    """A journal with what remembers it; several journals of one folder share ledger and quarantine."""

    journal: JournalPort
    ledger: LedgerPort | None
    quarantine: QuarantinePort


@dataclass
class Pass(Delivery):
    """One pass over one journal: where it began, how far it has read, and what it has counted.

    `offset` is how far it has read, `added` how far its entries are in batches.
    """

    source: Source
    counting: WindowedCount | CountOnDisk
    offset: int = 0
    added: int = 0
    records: int = 0
    latest: str = ""
    lines: int = 0
    bad: int = 0
    newly_bad: int = 0
    pending: int = 0
    ended: bool = False

    name: str = ""
    """The journal's name."""

    def __post_init__(self) -> None:
        self.name = self.source.journal.name
        self.added = self.start.offset if self.start else 0


@dataclass
class Batch:
    """Entries to be stored together, and how far each journal in it has been read by its end."""

    number: int
    entries: list[Entry] = field(default_factory=list)
    bytes: int = 0
    reached: dict[str, tuple[Pass, int, int, str]] = field(default_factory=dict)


class Reader:
    """Makes entries of a journal's lines. One per run: it remembers the sessions' prefixes."""

    def __init__(self, clock: Clock, *, session: str | None, dry_run: bool) -> None:
        self._clock = clock
        self._session = session
        self._dry_run = dry_run
        self._prefixes: dict[str, str] = {}

    def entries(self, at: Pass) -> Iterator[list[Entry]]:
        """The entries of a journal, in lists of one block's each; `at` tells at each list how far it has read.

        Raises OutOfOrder where equal lines have to be counted on disk, ChatstoreError where it cannot be read.
        """
        journal = at.source.journal
        at.offset, at.records = (at.start.offset, at.start.records) if at.start else (0, 0)
        at.latest = at.floor
        for block in journal.blocks(at.offset):
            if isinstance(block, OversizedLine):
                self._oversized(at, block)
                yield []
            elif block.complete:
                yield self._block(at, block.offset, block.lines)
            else:
                yield self._last_line(at, block.offset, block.lines[0])

    def _block(self, at: Pass, offset: int, lines: list[bytes]) -> list[Entry]:
        if offset == 0:
            lines[0] = self._without_mark(at, lines[0])
            offset = at.offset
        decode: Callable[[bytes], Any] = at.source.journal.decode
        entries: list[Entry] = []
        enter = self._enter
        for line in lines:
            try:
                fields = decode(line)
            except ValueError:
                self._damaged(at, offset, line, entries)
            else:
                if is_plain(fields):
                    at.lines += 1
                    at.records += 1
                    enter(at, offset, line, fields, entries)
                else:
                    self._record(at, offset, line, fields, entries)
            offset += len(line) + 1
        at.offset = offset
        return entries

    def _record(self, at: Pass, offset: int, raw: bytes, fields: Any, entries: list[Entry]) -> None:
        at.lines += 1
        at.records += 1
        flaw = flaw_of(fields)
        if flaw is None and may_have_lost_digits(fields) and at.source.journal.lost_digits(raw):
            flaw = "holds an integer of more than 64 bits, which no database number can"
        if flaw is not None:
            self._quarantine(at, offset, raw, flaw)
            return
        self._enter(at, offset, raw, fields, entries)

    def _enter(self, at: Pass, offset: int, raw: bytes, fields: dict[str, Any], entries: list[Entry]) -> None:
        session = fields["session_id"]
        if self._session is not None and session != self._session:
            at.lines -= 1
            return
        instant = fields["created_at"]
        prefix = self._prefixes.get(session) or self._prefix(session)
        if "message_id" in fields:
            key = b""
            identity = identity_by_message_id(prefix, session, fields["message_id"])
        else:
            key = content_key(session, fields["role"], instant, fields["text"])
            occurrence = at.counting.number(key, instant)
            identity = prefix + key.hex() if occurrence == 0 else identity_by_content(prefix, key, occurrence)
        if instant > at.latest:
            at.latest = instant
        # The same as Entry(...), at a third of its cost: this runs for every line.
        entries.append(_new_tuple(Entry, (at.name, identity, key, instant, fields, at.records, offset, raw)))

    def _prefix(self, session: str) -> str:
        if len(self._prefixes) >= _PREFIXES_KEPT:
            self._prefixes.clear()
        prefix = self._prefixes[session] = session_prefix(session)
        return prefix

    def _damaged(self, at: Pass, offset: int, line: bytes, entries: list[Entry]) -> None:
        if not line.strip():
            return
        for piece in at.source.journal.salvage(line):
            place = offset + piece.start
            if piece.flaw is None:
                self._record(at, place, piece.raw, at.source.journal.decode(piece.raw), entries)
            else:
                at.lines += 1
                at.records += 1
                self._quarantine(at, place, piece.raw, piece.flaw)

    def _last_line(self, at: Pass, offset: int, line: bytes) -> list[Entry]:
        entries: list[Entry] = []
        if offset == 0:
            line = self._without_mark(at, line)
            offset = at.offset
        try:
            fields = at.source.journal.decode(line)
        except ValueError:
            if line.strip():
                at.pending += 1
            return entries
        if type(fields) is not dict:
            at.pending += 1  # a number or a text may go on; an object that is closed cannot
            return entries
        self._record(at, offset, line, fields, entries)
        at.offset = offset + len(line)
        return entries

    def _without_mark(self, at: Pass, line: bytes) -> bytes:
        if line.startswith(_UTF16_MARKS):
            raise ChatstoreError(what=f"{at.name}: this is UTF-16.", hint="Convert it to UTF-8 and run it again.")
        if line.startswith(_UTF8_MARK):
            at.offset = len(_UTF8_MARK)
            return line[len(_UTF8_MARK) :]
        return line

    def _oversized(self, at: Pass, line: OversizedLine) -> None:
        if not line.complete:
            at.pending += 1
            return
        at.records += 1
        at.offset = line.offset + line.length + 1
        if self._session is not None:
            return
        at.lines += 1
        reason = f"{line.length:,} bytes long, over the limit of 16 MiB for a document"
        journal = at.source.journal
        new = True
        if not self._dry_run:
            pieces = journal.pieces(line.offset, line.length)
            now = format_instant(self._clock())
            quarantine = at.source.quarantine
            new = quarantine.add_large(at.name, at.records, line.offset, line.length, pieces, reason, now)
        self._count_bad(at, new)

    def _quarantine(self, at: Pass, offset: int, raw: bytes, reason: str) -> None:
        self.quarantine(at, at.records, offset, raw, reason, None)

    def quarantine(self, at: Pass, number: int, offset: int, raw: bytes, reason: str, identity: str | None) -> None:
        """Put a line into quarantine and count it; with --dry-run only count it."""
        if self._session is not None and identity is None:
            at.lines -= 1  # whose line it is, nobody can tell: the flush of all sessions will quarantine it
            return
        quarantine = at.source.quarantine
        if self._dry_run:
            self._count_bad(at, not quarantine.knows(at.name, offset, raw))
            return
        now = format_instant(self._clock())
        self._count_bad(at, quarantine.add(at.name, number, offset, raw, reason, now, identity))

    def _count_bad(self, at: Pass, new: bool) -> None:
        with at.lock:
            at.bad += 1
            at.newly_bad += new
