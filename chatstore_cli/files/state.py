"""Where chatstore keeps what it remembers about a folder of journals: beside them, or else in the state folder."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from chatstore_cli.domain.errors import ChatstoreError

BESIDE = ".chatstore"
"""The folder beside the journals that holds ledger, quarantine and lock."""


def remembering_folder(journals: Path, state_folder: str | None) -> Path:
    """The folder for ledger, quarantine and lock of one journal folder; made if missing.

    Beside the journals, so that it travels with them; where that cannot be written, in the state folder (None: the
    platform's own) under a name made from the journals' path.
    """
    beside = journals / BESIDE
    if _usable(beside):
        return beside
    fallback = state_root(state_folder) / "journals" / hashlib.blake2b(os.fsencode(journals), digest_size=8).hexdigest()
    if _usable(fallback):
        return fallback
    raise ChatstoreError(
        what=f"Neither {beside} nor {fallback} can be written: there is no place for ledger and quarantine.",
        hint="Make one of them writable, or set state.folder.",
    )


def existing_folder(journals: Path, state_folder: str | None) -> Path | None:
    """The folder that remembering_folder has made earlier, or None; makes nothing."""
    fallback = state_root(state_folder) / "journals" / hashlib.blake2b(os.fsencode(journals), digest_size=8).hexdigest()
    return next((folder for folder in (journals / BESIDE, fallback) if folder.is_dir()), None)


def stdin_folder(state_folder: str | None) -> Path:
    """The folder for the quarantine of what came through standard input; made if missing."""
    folder = state_root(state_folder) / "journals" / "stdin"
    if not _usable(folder):
        raise ChatstoreError(what=f"{folder} cannot be written.", hint="Set state.folder to a folder that can.")
    return folder


def state_root(state_folder: str | None) -> Path:
    """The state folder: the configured one, or the platform's own."""
    if state_folder:
        return Path(state_folder).expanduser()
    import platformdirs

    return platformdirs.user_state_path("chatstore")


def _usable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
