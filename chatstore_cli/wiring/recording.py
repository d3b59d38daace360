"""The adapters of recording: the journals, and the quarantine of rejected messages."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from chatstore_cli.domain.errors import BadValue, ChatstoreError, NotAllowed

if TYPE_CHECKING:
    from chatstore_cli.domain.recording import RecordingJournal, RefusedMessages

FSYNC_POLICIES = ("never", "interval", "always")


def recording_journal(disk_path: str | Path | None, fsync: str) -> RecordingJournal:
    """The journals of a folder; without a folder, a journal in memory. Raises BadValue for an unknown policy."""
    from chatstore_cli.files.journal_writer import JournalWriter
    from chatstore_cli.files.memory_journal import MemoryJournal

    if fsync not in FSYNC_POLICIES:
        raise BadValue(name="fsync", value=fsync, expected=", ".join(FSYNC_POLICIES))
    if disk_path is None:
        return MemoryJournal()
    try:
        return JournalWriter(Path(disk_path).expanduser(), fsync)
    except (OSError, RuntimeError) as error:
        raise ChatstoreError(what=f"Cannot use the folder {disk_path}: {error}.", hint="Check disk_path.") from error


def require_writable_folder(folder: Path) -> None:
    """Create a folder of journals if it does not exist. Raises NotAllowed if no journal could be created there."""
    from chatstore_cli.files.ownership import described_access

    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        reason = None if os.access(folder, os.W_OK | os.X_OK) else "it cannot be written"
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
    if reason is not None:
        what = f"Messages cannot be recorded in the folder {folder}: {reason}."
        raise NotAllowed(what=what, hint=f"{described_access(folder)} Grant access, or set mongo.cache.disk_path.")


def announce_worker(journals: Path | None, state_folder: str | None, command: str) -> Callable[[], None]:
    """Announce the worker of this process to `cache status`, if the folder beside the journals can be written.

    Returns the function that removes the announcement.
    """
    from chatstore_cli.files.running_workers import RunningWorker
    from chatstore_cli.files.state_folder import bookkeeping_folder

    if journals is not None:
        with suppress(OSError, ChatstoreError):
            return RunningWorker(bookkeeping_folder(journals, state_folder), command).close
    return lambda: None


def refused_messages(journals: Path | None, state_folder: str | None) -> RefusedMessages:
    """The quarantine of a folder of journals, by default that of standard input. Its folder is created if it does not exist."""
    from chatstore_cli.files.quarantine import Quarantine
    from chatstore_cli.files.state_folder import bookkeeping_folder, stdin_folder

    return Quarantine(stdin_folder(state_folder) if journals is None else bookkeeping_folder(journals, state_folder))
