"""The reason in a mongod's log why it did not start."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from chatstore_cli.core.regular_files import regular_stream

KEPT_BYTES = 8 * 1024 * 1024
_READ_BYTES = 512 * 1024
_LONGEST_REASON = 400
_PANIC = "WT_PANIC"  # a line after the reason: the storage engine stops


def rotate(log: Path) -> None:
    """Before a start: rename a log over 8 MiB to `<name>.1`, which replaces the older one."""
    try:
        if log.stat().st_size > KEPT_BYTES:
            log.replace(log.with_name(log.name + ".1"))
    except FileNotFoundError:
        pass


def size(log: Path) -> int:
    """The log's size in bytes, from which `reason` reads later."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


def reason(log: Path, since: int) -> str:
    """The last line after byte `since` that has a reason why the server ended; empty if there is none."""
    fallback = ""
    for line in reversed(_lines(log, since)):
        entry = _entry(line)
        if entry is None:
            # Not the server's own format: the loader reports a missing library, or the server an unknown option.
            return _one_line(line)
        if entry.get("s") not in {"F", "E"}:
            continue
        if text := _reason_in(entry.get("attr")):
            return text
        fallback = fallback or _one_line(str(entry.get("msg", "")))
    return fallback


def _reason_in(attributes: object) -> str:
    """The reason in an entry's attributes: the server's error or the storage engine's message; else empty."""
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
        with regular_stream(log) as stream:
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
    return re.sub(r"\s+", " ", text).strip()[:_LONGEST_REASON]
