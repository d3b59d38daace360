"""The bookkeeping folder of a folder of journals, for ledger, quarantine and lock."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.files.ownership import described_access, make_private_folder

BESIDE = ".chatstore"
"""The name of the bookkeeping folder beside the journals."""


def bookkeeping_folder(journals: Path, state_folder: str | None) -> Path:
    """The folder for ledger, quarantine and lock of one journal folder. It is created if it does not exist.

    It is beside the journals, so that it is copied with them. If it cannot be written there, it is in the state folder
    (None: the platform's own), under a name made from the journals' path.
    """
    beside = journals / BESIDE
    if _usable(beside):
        return beside
    fallback = _fallback(journals, state_folder)
    if _usable(fallback):
        return fallback
    what = f"Cannot write to {beside} or {fallback}: the ledger and the quarantine have no folder."
    hint = f"{described_access(beside)} Make one of them writable for this user, or set state.folder."
    raise ChatstoreError(what=what, hint=hint)


def unusable_bookkeeping(journals: Path) -> str | None:
    """Why this user cannot use the bookkeeping folder beside the journals, if it exists; else None."""
    beside = journals / BESIDE
    if not os.path.lexists(beside) or os.access(beside, os.R_OK | os.W_OK | os.X_OK):
        return None
    reason = described_access(beside) if beside.is_dir() else f"{beside} is not a folder."
    return f"{reason} So this user's ledger and quarantine are in the state folder."


def existing_bookkeeping_folders(journals: Path | None, state_folder: str | None) -> list[Path]:
    """The bookkeeping folders of the journals that exist, first the one that a flush would use. Creates none.

    There are two if the journals' own folder was writable at one time and not at another. None is standard input.
    """
    if journals is None:
        candidates = [_stdin_folder(state_folder)]
    else:
        candidates = [journals / BESIDE, _fallback(journals, state_folder)]
    return sorted(
        (folder for folder in candidates if folder.is_dir()), key=lambda folder: not os.access(folder, os.W_OK)
    )


def stdin_folder(state_folder: str | None) -> Path:
    """The folder for the quarantine of standard input. It is created if it does not exist."""
    folder = _stdin_folder(state_folder)
    if not _usable(folder):
        raise ChatstoreError(what=f"Cannot write to {folder}.", hint="Set state.folder to a writable folder.")
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
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        make_private_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
