"""What a mongod's log says about why it did not start."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

KEPT_BYTES = 8 * 1024 * 1024
_READ_BYTES = 512 * 1024
_LONGEST = 400
_PANIC = "WT_PANIC"  # what follows the reason: that the storage engine stops


def rotate(log: Path) -> None:
    """Before a start: a log that has grown past 8 MiB becomes `<name>.1`, and the one before it goes."""
    try:
        if log.stat().st_size > KEPT_BYTES:
            log.replace(log.with_name(log.name + ".1"))
    except FileNotFoundError:
        pass


def size(log: Path) -> int:
    """Bytes so far, so that a later reading starts at what is new."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


def reason(log: Path, since: int) -> str:
    """The last line after byte `since` that says why it ended; empty where there is none."""
    fallback = ""
    for line in reversed(_lines(log, since)):
        entry = _entry(line)
        if entry is None:
            # Not the server's own format: the loader's word about a library, or an option that is not known.
            return _one_line(line)
        if entry.get("s") not in {"F", "E"}:
            continue
        told = _told(entry.get("attr"))
        if told:
            return told
        fallback = fallback or _one_line(str(entry.get("msg", "")))
    return fallback


def _told(attributes: object) -> str:
    """What an entry's attributes say of the reason: the server's own error, or the storage engine's message."""
    if not isinstance(attributes, dict):
        return ""
    if isinstance(attributes.get("error"), str):
        return _one_line(attributes["error"])
    message = attributes.get("message")
    if not isinstance(message, dict) or str(message.get("error_str", "")).startswith(_PANIC):
        return ""
    return _one_line(f"{message.get('msg', '')} ({message.get('error_str', '')})".replace(" ()", ""))


def _lines(log: Path, since: int) -> list[str]:
    try:
        with log.open("rb") as stream:
            end = stream.seek(0, 2)
            stream.seek(max(min(since, end), end - _READ_BYTES))
            text = stream.read(_READ_BYTES).decode("utf-8", "replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]


def _entry(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None if not line.startswith('{"t":') else {}
    return entry if isinstance(entry, dict) else None


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()[:_LONGEST]
