"""The state of the embedded MongoDB."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class EmbeddedStatus:
    """The state of the embedded MongoDB. Without a running server only its files are known.

    `socket` is the unix socket's path, `uri` what other clients connect with, `size_bytes` the disk space of the data folder. `uptime_seconds` counts from the
    first moment when it accepted writes. `binary` is None if another command than its starter adopted it.
    """

    running: bool
    version: str | None
    socket: str | None
    uri: str | None
    data_folder: str
    size_bytes: int
    uptime_seconds: float | None
    pid: int | None
    started_at: datetime | None
    binary: str | None
    log: str
