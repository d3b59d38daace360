"""The embedded MongoDB as commands see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class EmbeddedStatus:
    """What there is of it. Without a running server only its files are known.

    `socket` is the unix socket's path, `size_bytes` what the data folder takes of its disk, `uptime_seconds` counts
    from when it first took writes, `binary` is None where another command than its starter took it over.
    """

    running: bool
    version: str | None
    socket: str | None
    data_folder: str
    size_bytes: int
    uptime_seconds: float | None
    pid: int | None
    started_at: datetime | None
    binary: str | None
    log: str
