"""Where chatstore keeps what it remembers about a folder of journals: beside them, or else in the state folder."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from chatstore_cli.domain.errors import ChatstoreError

BESIDE = ".chatstore"
"""The folder beside the journals that holds ledger, quarantine and lock."""


def bookkeeping_folder(journals: Path, state_folder: str | None) -> Path:
    """The folder for ledger, quarantine and lock of one journal folder; made if missing.

    Beside the journals, so that it travels with them; where that cannot be written, in the state folder (None: the
    platform's own) under a name made from the journals' path.
    """
    beside = journals / BESIDE
    if _usable(beside):
        return beside
    fallback = _fallback(journals, state_folder)
    if _usable(fallback):
        return fallback
    raise ChatstoreError(
        what=f"Neither {beside} nor {fallback} can be written: there is no place for ledger and quarantine.",
        hint="Make one of them writable, or set state.folder.",
    )


def existing_bookkeeping_folders(journals: Path | None, state_folder: str | None) -> list[Path]:
    """The folders that remember something about the journals, the one that a flush would take first; makes nothing.

    There are two where the journals' own folder could be written to at one time and not at another. None is standard
    input.
    """
    if journals is None:
        places = [_stdin_folder(state_folder)]
    else:
        places = [journals / BESIDE, _fallback(journals, state_folder)]
    return sorted((folder for folder in places if folder.is_dir()), key=lambda folder: not os.access(folder, os.W_OK))


def stdin_folder(state_folder: str | None) -> Path:
    """The folder for the quarantine of what came through standard input; made if missing."""
    folder = _stdin_folder(state_folder)
    if not _usable(folder):
        raise ChatstoreError(what=f"{folder} cannot be written.", hint="Set state.folder to a folder that can.")
    return folder


def _fallback(journals: Path, state_folder: str | None) -> Path:
    return state_root(state_folder) / "journals" / hashlib.blake2b(os.fsencode(journals), digest_size=8).hexdigest()


def _stdin_folder(state_folder: str | None) -> Path:
    return state_root(state_folder) / "journals" / "stdin"


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
