"""Finding journals: the files that a path names or that a folder contains."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from chatstore_cli.domain.errors import ChatstoreError, NotFound
from chatstore_cli.files.journal_reader import JournalFile
from chatstore_cli.files.session_names import SUFFIX, session_of
from chatstore_cli.files.state_folder import BESIDE

_JOURNAL_NAME = re.compile(r".+\.jsonl(\.\d+)?(\.gz)?")


def find_journals(paths: list[str]) -> dict[Path | None, list[JournalFile]]:
    """The journals that the paths name, by the folder whose lock they need; None is standard input (`-`).

    A folder gives its `*.jsonl`, rotated (`.jsonl.1`) and compressed (`.gz`) files, and those of its subfolders. A
    file that is named twice counts once. Raises NotFound for a path that does not exist.
    """
    found: dict[Path | None, list[JournalFile]] = {}
    known: set[Path] = set()
    for name in paths:
        path = Path(name)
        if name == "-":
            found[None] = [JournalFile(None)]
        elif path.is_dir():
            folder = path.resolve()
            journals = [journal for journal in journals_below(folder) if journal not in known]
            known.update(journals)
            found.setdefault(folder, []).extend(map(JournalFile, journals))
        elif path.exists():
            path = path.resolve()
            if path not in known:
                known.add(path)
                found.setdefault(path.parent, []).append(JournalFile(path))
        else:
            raise NotFound(
                kind_of_thing="journal file or folder",
                name=name,
                where="",
                hint="Give the path of a journal, or set mongo.cache.disk_path.",
            )
    return found


def journals_below(folder: Path, on_error: Callable[[OSError], None] | None = None) -> list[Path]:
    """The journals in a folder and its subfolders, sorted. `on_error` is called for a subfolder that cannot be read.

    Without `on_error` the first such folder raises ChatstoreError, so that its journals are not left out silently.
    """
    found: list[Path] = []
    for place, folders, files in os.walk(folder, onerror=on_error or _raise_unreadable):
        folders[:] = sorted(name for name in folders if name != BESIDE and not name.startswith("."))
        found.extend(Path(place, name) for name in sorted(files) if is_journal_name(name))
    return found


def is_journal_name(name: str) -> bool:
    """Whether a file of this name is a journal, also a rotated or a compressed one."""
    return _JOURNAL_NAME.fullmatch(name) is not None


def session_named(folder: Path, journal: Path) -> str:
    """The session by the name of its journal. If the name is not an escaped id, it is taken as the id."""
    session_id = session_of(folder, journal)
    return session_id if session_id is not None else journal.name.partition(SUFFIX)[0]


def _raise_unreadable(error: OSError) -> None:
    what = f"{error.filename}: {error.strerror or error}"
    raise ChatstoreError(what=what, hint="Grant access to it, or name the journals that can be read.") from error
