"""Quarantined journal lines, and what trying them again gives."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QuarantinedLine:
    """One line in quarantine. `raw` is None where the bytes lie in `raw_file`."""

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
    """lines = stored + already_stored + still_quarantined."""

    lines: int
    stored: int
    already_stored: int
    still_quarantined: int
