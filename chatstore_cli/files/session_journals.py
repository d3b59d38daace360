"""The journals of single sessions: read, and removed while no process writes to them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from chatstore_cli.core.regular_files import regular_stream
from chatstore_cli.domain.checked_application import FoundMessage, JournalledMessages
from chatstore_cli.domain.errors import Locked
from chatstore_cli.domain.times import read_instant
from chatstore_cli.files.file_lock import lock_within
from chatstore_cli.files.session_names import journals_of

MOST_BYTES_READ = 16 * 1024 * 1024
"""Of one journal."""


class SessionJournals:
    """Journals in one folder, which need not exist. `seconds` is how long to wait for a writer's lock."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder = folder
        self._seconds = seconds

    @property
    def folder(self) -> str:
        """The folder's path."""
        return str(self._folder)

    @property
    def exists(self) -> bool:
        """Whether the folder is on this machine."""
        return self._folder.is_dir()

    def read(self, session_id: str) -> JournalledMessages:
        """The turns in the journals of a session, without an incomplete last line."""
        turns: list[FoundMessage] = []
        unreadable = files = 0
        for path in journals_of(self._folder, session_id):
            try:
                with regular_stream(path) as stream:
                    lines = stream.read(MOST_BYTES_READ).split(b"\n")[:-1]
            except FileNotFoundError:
                continue
            files += 1
            for line in lines:
                turn = _message(line, session_id)
                unreadable += turn is None
                turns += [turn] if turn is not None else []
        return JournalledMessages(files, turns, unreadable)

    def remove(self, session_id: str) -> int:
        """Remove the journals of a session. Returns how many. Raises Locked if a writer keeps its lock on one."""
        return sum(self._remove(path) for path in journals_of(self._folder, session_id))

    def _remove(self, path: Path) -> bool:
        """Under the lock that writers take for each line, so that no line is written to a removed file."""
        try:
            with regular_stream(path) as stream:
                if not lock_within(stream.fileno(), self._seconds):
                    hint = "Remove it once that process has released the lock."
                    raise Locked(what=str(path), holder="a process that holds its lock", hint=hint)
                if os.fstat(stream.fileno()).st_ino == path.stat().st_ino:
                    path.unlink()
                    return True
        except FileNotFoundError:
            pass
        return False


def _message(line: bytes, session_id: str) -> FoundMessage | None:
    try:
        fields: Any = json.loads(line)
        role, text, message_id = fields["role"], fields["text"], fields.get("message_id")
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None
    if not isinstance(role, str) or not isinstance(text, str) or fields.get("session_id") != session_id:
        return None
    created_at = read_instant(fields.get("created_at"))
    return FoundMessage(role, text, created_at, message_id if isinstance(message_id, str) else None)
