"""Quarantined journal lines, how they were resolved, and the results of retrying and editing them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QuarantinedLine:
    """One line in quarantine, put there at the time `at`. `raw` is None if the bytes are in the file `raw_file`.

    `resolution` is an edit of the line that is not known to be stored yet.
    """

    quarantine_id: str
    source: str
    line: int
    offset: int
    length: int
    reason: str
    at: str
    raw: bytes | None
    raw_file: str | None
    identity: str | None
    resolution: Resolution | None = None


@dataclass(frozen=True, slots=True)
class Resolution:
    """What takes the place of a journal line that was in quarantine, whenever the journal is read again.

    `edited` is the line that is stored in its place, under the `_id` `identity`; None if the line was dropped.
    `counted`: the line itself could be read, so equal lines after it have the numbers that follow its number.
    """

    quarantine_id: str
    source: str
    offset: int
    counted: bool
    edited: bytes | None = None
    identity: str | None = None


@dataclass(frozen=True, slots=True)
class NumberedLine:
    """A quarantined line, its number in the list (from 1), and the bookkeeping folder that it is in."""

    number: int
    line: QuarantinedLine
    folder: str


@dataclass(frozen=True, slots=True)
class RetryResult:
    """What a retry of quarantined lines did. lines = stored + already_stored + still_quarantined."""

    lines: int
    stored: int
    already_stored: int
    still_quarantined: int


@dataclass(frozen=True, slots=True)
class EditResult:
    """The result of editing a line: stored, already_stored, deleted (with its session) or quarantined.

    `reason` is why it could not be stored. Then the line in quarantine is as it was.
    """

    quarantine_id: str
    result: str
    reason: str | None = None
