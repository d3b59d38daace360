"""The status of the embedded MongoDB as a record."""

from __future__ import annotations

from typing import Any

from chatstore_cli.domain.byte_sizes import format_bytes
from chatstore_cli.domain.embedded import EmbeddedStatus
from chatstore_cli.domain.times import rfc3339
from chatstore_cli.render.listing import Column, Record

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def status_record(status: EmbeddedStatus) -> Record:
    """The status. A table leaves out unknown values."""
    row = {
        "running": status.running,
        "version": status.version,
        "socket": status.socket,
        "uri": status.uri,
        "data_folder": status.data_folder,
        "size_bytes": status.size_bytes,
        "uptime_seconds": None if status.uptime_seconds is None else round(status.uptime_seconds, 1),
        "pid": status.pid,
        "started_at": rfc3339(status.started_at),
        "binary": status.binary,
        "log": status.log,
    }
    columns = (
        Column("running", "Running"),
        Column("version", "Version", in_table=status.version is not None),
        Column("socket", "Socket", in_table=status.socket is not None),
        Column("uri", "URI", in_table=status.uri is not None),
        Column("data_folder", "Data folder"),
        Column("size_bytes", "Size", show=format_bytes),
        Column("uptime_seconds", "Uptime", show=duration, in_table=status.uptime_seconds is not None),
        Column("pid", "Process", in_table=status.pid is not None),
        Column("started_at", "Started", in_table=status.started_at is not None),
        Column("binary", "Binary", in_table=status.binary is not None),
        Column("log", "Log"),
    )
    return Record(columns, row)


def duration(value: Any) -> str:
    """Seconds in the two largest units: `3 d 4 h`, `12 s`."""
    seconds_left = int(value)
    parts: list[str] = []
    for unit, seconds in _UNITS:
        amount, seconds_left = divmod(seconds_left, seconds)
        if amount or (unit == "s" and not parts):
            parts.append(f"{amount} {unit}")
    return " ".join(parts[:2])
