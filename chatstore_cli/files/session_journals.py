"""The journals of single sessions: looked at, and removed while no writer is at them."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any

from chatstore_cli.domain.checked_application import FoundMessage, JournalledMessages
from chatstore_cli.domain.errors import Locked
from chatstore_cli.domain.times import read_instant
from chatstore_cli.files.session_names import journals_of

LONGEST_LOOK = 16 * 1024 * 1024
"""Bytes of a journal that are looked at."""


class SessionJournals:
    """Journals in one folder, which need not exist. `seconds` is how long a writer's lock is waited for."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder = folder
        self._seconds = seconds

    @property
    def folder(self) -> str:
        """The folder."""
        return str(self._folder)

    @property
    def exists(self) -> bool:
        """Whether the folder is on this machine."""
        return self._folder.is_dir()

    def read(self, session_id: str) -> JournalledMessages:
        """What stands in the journals of a session; a last line that is still being written is left out."""
        turns: list[FoundMessage] = []
        unreadable = files = 0
        for path in journals_of(self._folder, session_id):
            try:
                with path.open("rb") as stream:
                    lines = stream.read(LONGEST_LOOK).split(b"\n")[:-1]
            except FileNotFoundError:
                continue
            files += 1
            for line in lines:
                turn = _message(line, session_id)
                unreadable += turn is None
                turns += [turn] if turn is not None else []
        return JournalledMessages(files, turns, unreadable)

    def remove(self, session_id: str) -> int:
        """Remove the journals of a session; gives how many. Raises Locked where a writer does not let go of one."""
        return sum(self._remove(path) for path in journals_of(self._folder, session_id))

    def _remove(self, path: Path) -> bool:
        """Under the lock that every writer takes for a line, so that none writes into a file that is gone."""
        deadline = time.monotonic() + self._seconds
        try:
            with path.open("rb") as stream:
                while not _locked(stream.fileno()):
                    if time.monotonic() > deadline:
                        hint = "Remove it once it has been let go."
                        raise Locked(what=str(path), holder="a process that holds its lock", hint=hint)
                    time.sleep(0.02)
                if os.fstat(stream.fileno()).st_ino == path.stat().st_ino:
                    path.unlink()
                    return True
        except FileNotFoundError:
            pass
        return False


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


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
