"""Quarantined journal lines, and the result of retrying them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QuarantinedLine:
    """One line in quarantine, put there at the time `at`. `raw` is None if the bytes are in the file `raw_file`."""

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


@dataclass(frozen=True, slots=True)
class RetryResult:
    """What a retry of quarantined lines did. lines = stored + already_stored + still_quarantined."""

    lines: int
    stored: int
    already_stored: int
    still_quarantined: int
