"""The adapters of recording: the journals, and the quarantine of rejected messages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from chatstore_cli.domain.errors import BadValue, ChatstoreError

if TYPE_CHECKING:
    from chatstore_cli.domain.recording import RecordingJournal
    from chatstore_cli.files.quarantine import Quarantine

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


class RefusedMessagesFolder:
    """The quarantine of a folder of journals (None: that of standard input), created with the first rejected message."""

    def __init__(self, journals: Path | None, state_folder: str | None) -> None:
        self._journals = journals
        self._state_folder = state_folder
        self._created: Quarantine | None = None

    @property
    def _quarantine(self) -> Quarantine:
        if self._created is None:
            from chatstore_cli.files.quarantine import Quarantine
            from chatstore_cli.files.state_folder import bookkeeping_folder, stdin_folder

            if self._journals is None:
                self._created = Quarantine(stdin_folder(self._state_folder))
            else:
                self._created = Quarantine(bookkeeping_folder(self._journals, self._state_folder))
        return self._created

    def add(
        self,
        source: str,
        number: int,
        offset: int,
        raw: bytes,
        reason: str,
        quarantined_at: str,
        identity: str | None = None,
    ) -> bool:
        """Keep a line; returns False if it was kept before."""
        return self._quarantine.add(source, number, offset, raw, reason, quarantined_at, identity)

    def sync(self) -> None:
        """Sync the added lines to the disk."""
        self._quarantine.sync()
