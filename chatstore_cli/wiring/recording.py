"""What recording chats needs: the journals to write to, and where refused messages are kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from chatstore_cli.domain.errors import BadValue, ChatstoreError

if TYPE_CHECKING:
    from chatstore_cli.domain.recording import RecordingJournal
    from chatstore_cli.files.quarantine import Quarantine

FSYNC_POLICIES = ("never", "interval", "always")


def recording_journal(disk_path: str | Path | None, fsync: str) -> RecordingJournal:
    """The journals of a folder, or none. Raises BadValue for another policy."""
    from chatstore_cli.files.journal_writer import JournalWriter
    from chatstore_cli.files.memory_journal import MemoryJournal

    if fsync not in FSYNC_POLICIES:
        raise BadValue(name="fsync", value=fsync, expected=", ".join(FSYNC_POLICIES))
    if disk_path is None:
        return MemoryJournal()
    try:
        return JournalWriter(Path(disk_path).expanduser(), fsync)
    except (OSError, RuntimeError) as error:
        raise ChatstoreError(what=f"{disk_path}: {error}") from error


class RefusedMessagesFolder:
    """The quarantine of a folder of journals (None: that of standard input), made when something is refused."""

    def __init__(self, journals: Path | None, state_folder: str | None) -> None:
        self._journals = journals
        self._state_folder = state_folder
        self._made: Quarantine | None = None

    @property
    def _quarantine(self) -> Quarantine:
        if self._made is None:
            from chatstore_cli.files.quarantine import Quarantine
            from chatstore_cli.files.state_folder import bookkeeping_folder, stdin_folder

            if self._journals is None:
                self._made = Quarantine(stdin_folder(self._state_folder))
            else:
                self._made = Quarantine(bookkeeping_folder(self._journals, self._state_folder))
        return self._made

    def add(
        self, source: str, number: int, offset: int, raw: bytes, reason: str, at: str, identity: str | None = None
    ) -> bool:
        """Keep a line; False where it was there already."""
        return self._quarantine.add(source, number, offset, raw, reason, at, identity)

    def sync(self) -> None:
        """Put on disk what was added."""
        self._quarantine.sync()
